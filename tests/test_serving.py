"""The websocket server: openpi's own client, many clients, episodes, sizes of images."""

import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import msgpack
import numpy as np
import pytest
from served import BATCH, alone, observation, packed, running
from toy_policy import CHUNK, HISTORY, PIXELS, TASKS, frame, toy_model
from websockets.exceptions import ConnectionClosed

from worldvla.model.policy import ChameleonPolicy
from worldvla.serving.answering import Answerer, Query


@pytest.fixture(scope="module")
def model():
    return toy_model()


@pytest.fixture
def server(model):
    with running(model) as served:
        yield served


def test_openpis_own_client_is_told_what_to_send_and_gets_actions(model, server):
    client = server.client()
    told = client.get_server_metadata()
    assert told == server.announced
    assert (told["image_size"], told["history"], told["action_horizon"]) == ([PIXELS, PIXELS], HISTORY, CHUNK)
    assert told["image_rotated_180"] is True
    assert told["gripper"] == {"open": -1, "close": 1}
    answer = client.infer(observation(0, **{"observation/state": np.zeros(8), "observation/wrist_image": frame(1)}))
    assert answer["actions"].shape == (CHUNK, 7)
    assert answer["actions"].tolist() == alone(model, (TASKS[0], [0]))[0].tolist()
    assert set(answer["server_timing"]) == {"infer_ms"}
    assert set(client.infer(observation(1))["server_timing"]) == {"infer_ms", "prev_total_ms"}


def test_every_byte_of_a_message_is_as_openpi_has_it(model, server):
    array = frame(0)
    content = {
        b"__ndarray__": True,
        b"data": array.tobytes(),
        b"dtype": "|u1",
        b"shape": (PIXELS, PIXELS, 3),
    }
    with server.raw() as client:
        assert msgpack.unpackb(client.recv()) == server.announced
        client.send(msgpack.packb({"observation/image": content, "prompt": TASKS[0]}))
        actions = msgpack.unpackb(client.recv())["actions"]
    expected = alone(model, (TASKS[0], [0]))[0]
    assert actions == {
        b"__ndarray__": True,
        b"data": expected.astype("<f8").tobytes(),
        b"dtype": "<f8",
        b"shape": [CHUNK, 7],
    }


def test_the_frames_of_an_episode_are_remembered_and_forgotten_with_it(model, server):
    expected = alone(
        model,
        (TASKS[0], [0]),
        (TASKS[0], [0, 1]),
        (TASKS[0], [1, 2]),
        (TASKS[0], [3]),
        (TASKS[0], [4]),
        (TASKS[1], [5]),
    )
    assert len({chunk.tobytes() for chunk in expected}) == len(expected), "all must differ for this to mean anything"
    client = server.client()
    shown = [
        observation(0),
        observation(1),
        observation(2),
        observation(3, reset=True),
        observation(4, episode_id=7),
        observation(5, TASKS[1], episode_id=7),
    ]
    for sent, chunk in zip(shown, expected, strict=True):
        assert client.infer(sent)["actions"].tolist() == chunk.tolist()
    assert server.client().infer(observation(3))["actions"].tolist() == expected[3].tolist()  # a connection of its own


def test_the_frames_of_the_last_steps_may_come_together(model, server):
    (expected,) = alone(model, (TASKS[0], [1, 2]))
    client = server.client()
    client.infer(observation(9))
    together = observation(0) | {"observation/image": np.stack([frame(0), frame(1), frame(2)])}
    assert client.infer(together)["actions"].tolist() == expected.tolist()


def test_sixteen_clients_at_once_get_what_each_would_get_alone(model, server):
    def episode(number: int) -> list[list[list[float]]]:
        client, task = server.client(), TASKS[number % 3]
        return [client.infer(observation(100 * number + step, task))["actions"].tolist() for step in range(5)]

    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(episode, range(16)))
    assert max(map(len, server.batches)) > 1, "some must have shared a batch for this to mean anything"
    assert max(map(len, server.batches)) <= BATCH
    assert sum(map(len, server.batches)) == 16 * 5
    assert [episode(number) for number in range(16)] == together


def test_whatever_is_asked_the_model_gets_batches_of_one_size(model, monkeypatch):
    sizes = []
    act = ChameleonPolicy.act
    monkeypatch.setattr(
        ChameleonPolicy, "act", lambda self, tasks, codes: sizes.append(len(codes)) or act(self, tasks, codes)
    )
    answerer = Answerer(model, "clamp", BATCH)
    for count in range(1, BATCH + 1):
        queries = [Query(TASKS[0], (), frame(seed)[None]) for seed in range(count)]
        assert len(answerer(queries)) == count
    assert sizes == [BATCH] * BATCH


def test_the_client_of_the_page_runs(model, server):
    page = (Path(__file__).resolve().parents[1] / "docs/serving.md").read_text()
    code = textwrap.dedent(page.partition("## A client\n")[2].partition("\nwhere")[0])
    episodes, steps = [], []

    def step(action):
        steps.append(action)
        return frame(len(steps)), 0.0, len(steps) % 4 == 0, {}

    environment = SimpleNamespace(reset=lambda: episodes.append(0) or frame(0), step=step)
    given = {"environment": environment, "upright": lambda image: image, "task": TASKS[0], "np": np}
    exec(code.replace("8000", str(server.port)), given)
    assert (len(episodes), len(steps)) == (10, 40)
    (first,) = alone(model, (TASKS[0], [0]))
    assert steps[0].tolist() == steps[4].tolist() == first[0].tolist(), "an episode begins without the one before"


def test_the_server_answers_others_while_the_model_computes(server):
    server.hold.clear()
    client = server.raw()
    client.recv()
    client.send(msgpack.packb(packed(observation(0))))
    time.sleep(0.1)
    assert server.healthy()
    assert client.ping().wait(5)
    server.hold.set()
    assert isinstance(client.recv(), bytes)
    client.close()


def test_images_of_another_size_are_scaled_where_that_was_chosen(model):
    with running(model, resize=True) as server:
        client = server.client()
        assert client.get_server_metadata()["resizes"] is True
        grey = np.full((224, 224, 3), 100, np.uint8)
        small = np.full((PIXELS, PIXELS, 3), 100, np.uint8)
        large = client.infer(observation(0) | {"observation/image": grey})["actions"]
        same = client.infer(observation(0, reset=True) | {"observation/image": small})["actions"]
        assert large.tolist() == same.tolist()
        with pytest.raises(RuntimeError, match="shows 224 x 112 pixels; expected 8 x 8; send square images"):
            client.infer(observation(0) | {"observation/image": grey[:, :112]})


def test_the_query_of_a_client_that_is_gone_is_not_computed(server):
    server.hold.clear()
    first, second = server.raw(), server.raw()
    for client, task in ((first, TASKS[0]), (second, TASKS[1])):
        client.recv()
        client.send(msgpack.packb(packed(observation(0, task))))
        time.sleep(0.1)
    second.close()
    time.sleep(0.1)
    server.hold.set()
    assert isinstance(first.recv(), bytes)
    assert server.client().infer(observation(1, TASKS[2]))["actions"].shape == (CHUNK, 7)
    assert server.batches == [[TASKS[0]], [TASKS[2]]]
    first.close()


def test_a_query_that_breaks_the_model_spoils_none_of_the_others_of_its_batch(model, server):
    server.spoilt = "push the platf"  # of the same length
    server.hold.clear()
    tasks = [TASKS[2], server.spoilt, TASKS[2], TASKS[2]]
    with ThreadPoolExecutor(4) as pool:

        def ask(task: str) -> object:
            try:
                return server.client().infer(observation(0, task))["actions"].tolist()
            except RuntimeError as error:
                return str(error)

        asked = [pool.submit(ask, task) for task in tasks]
        time.sleep(0.3)
        server.hold.set()
        answers = [one.result() for one in asked]
    expected = alone(model, (TASKS[2], [0]))[0].tolist()
    assert [answers[number] for number in (0, 2, 3)] == [expected] * 3
    assert "RuntimeError: the model is broken" in str(answers[1])


def test_an_answer_that_is_no_action_is_an_error_of_one_sentence(model):
    with (
        running(model, no_bin="fail") as server,
        pytest.raises(RuntimeError, match="is no action; expected bins alone"),
    ):
        server.client().infer(observation(0))


def test_the_end_of_the_server_ends_conversations(model):
    with running(model) as server:
        client = server.raw()
        client.recv()
    with pytest.raises(ConnectionClosed) as ended:
        client.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1001
