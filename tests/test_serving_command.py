"""``./run serve``: what it refuses before anything is loaded, and a server from the command to its end."""

import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from toy_policy import CHUNK, PIXELS, TASKS, frame, write_project

from worldvla import Policy
from worldvla.serving import __main__ as command


@pytest.fixture
def project(tmp_path, monkeypatch):
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments: str) -> str:
    """Return the one sentence with which a command ends."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    sentence = str(ended.value.code)
    assert sentence.startswith("serve: ")
    assert len(sentence.splitlines()) == 1
    return sentence


def test_a_run_that_does_not_exist(project):
    assert "tyo: no such run or folder; expected a run of data/models" in refused("tyo", "--port", "0")
    assert "did you mean 'toy'?" in refused("tyo", "--port", "0")


def test_a_folder_of_another_kind(project):
    assert "expected the folder of a trained model" in refused("data/tokenizer/goal-main", "--port", "0")


def test_a_world_model_that_never_saw_actions(tmp_path, monkeypatch):
    write_project(tmp_path, "world", ("world",))
    monkeypatch.chdir(tmp_path)
    assert "trained on world samples, expected action among them" in refused("world", "--port", "0")


def test_a_port_in_use_is_refused_before_the_model_is_loaded(project, monkeypatch):
    monkeypatch.setattr(command, "load_model", lambda *_, **__: pytest.fail("loaded"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"port {port} of 127.0.0.1 is in use; expected a free one; end what listens there" in refused(
            "toy", "--port", port
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "70000"), "--port is 70000; expected 0 to 65535"),
        (("--batch", "0"), "--batch is 0; expected 1 to 32"),
        (("--batch", "33"), "--batch is 33; expected 1 to 32"),
        (
            ("--host", "192.0.2.1", "--port", "0"),
            "192.0.2.1, port 0: Cannot assign requested address; expected an address",
        ),
        (("--host", "no.such.host.invalid"), "no.such.host.invalid, port 8000: "),
    ],
)
def test_numbers_and_hosts_that_cannot_be(project, arguments, message):
    assert message in refused("toy", *arguments)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_from_the_command_to_its_end(project, number):
    server = subprocess.Popen(
        [sys.executable, "-m", "worldvla.serving", "toy", "--port", "0", "--resize"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("serving toy at ws://127.0.0.1:")
        client = WebsocketClientPolicy("127.0.0.1", int(line.split()[3].rsplit(":", 1)[1]))
        assert client.get_server_metadata()["model"] == "toy"
        answer = client.infer({"observation/image": frame(0), "prompt": TASKS[0]})
        assert answer["actions"].tolist() == Policy.load("toy").act(frame(0), TASKS[0]).tolist()
        large = np.zeros((4 * PIXELS, 4 * PIXELS, 3), np.uint8)
        assert client.infer({"observation/image": large, "prompt": TASKS[1]})["actions"].shape == (CHUNK, 7)
        server.send_signal(number)
        assert server.wait(10) == 0
        assert server.stdout.read().splitlines()[-1] == "serve: ended; no client is connected any more"
    finally:
        server.kill()
        server.wait()
