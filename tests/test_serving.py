"""The websocket server: openpi's own client, many clients, and whatever else may come in at the port."""

import asyncio
import contextlib
import http.client
import os
import re
import socket
import struct
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import msgpack
import numpy as np
import pytest
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from toy_policy import CHUNK, HISTORY, PIXELS, TASKS, frame, toy_model
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import connect

from worldvla.model.policy import ChameleonPolicy
from worldvla.serving import server as serving
from worldvla.serving.answering import Answerer, Query
from worldvla.serving.protocol import MAX_BYTES
from worldvla.serving.server import PolicyServer, metadata

BATCH = 4


class Running:
    """A server on a port of this machine, and what it was asked."""

    def __init__(self, model, resize: bool, no_bin) -> None:
        self.model, self.batches, self.hold, self.spoilt = model, [], threading.Event(), None
        self.hold.set()
        self._answerer = Answerer(model, no_bin, BATCH)
        self.length, self.batch = self._answerer.length, BATCH
        self.announced = metadata("toy", model, BATCH, resize)
        where = socket.create_server(("127.0.0.1", 0))
        self.port = where.getsockname()[1]
        self._where, self._ready = where, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def __call__(self, queries):
        self.hold.wait(10)
        self.batches.append([query.instruction for query in queries])
        if self.spoilt in self.batches[-1]:
            raise RuntimeError("the model is broken")
        return self._answerer(queries)

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        with ThreadPoolExecutor(1) as thread:
            async with PolicyServer(self, thread, self.announced).listening(self._where):  # pyright: ignore[reportArgumentType]
                self._ready.set()
                await self._ended.wait()

    def stop(self) -> None:
        self.hold.set()
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def client(self) -> WebsocketClientPolicy:
        return WebsocketClientPolicy("127.0.0.1", self.port)

    def raw(self):
        return connect(f"ws://127.0.0.1:{self.port}", compression=None, max_size=None)

    def healthy(self) -> bool:
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        asked.request("GET", "/healthz")
        answer = asked.getresponse()
        return (answer.status, answer.read()) == (200, b"OK\n")


@contextlib.contextmanager
def running(model, resize: bool = False, no_bin="clamp"):
    served = Running(model, resize, no_bin)
    try:
        yield served
        assert served.healthy(), "whatever came in, the server is alive"
    finally:
        served.stop()


@pytest.fixture(scope="module")
def model():
    return toy_model()


@pytest.fixture
def server(model):
    with running(model) as served:
        yield served


def observation(seed: int, task: str = TASKS[0], **more: object) -> dict[str, object]:
    return {"observation/image": frame(seed), "prompt": task, **more}


def alone(model, *shown: tuple[str, list[int]]) -> list[np.ndarray]:
    """Return what a model answers to instructions and frames, without any server, each in a batch of its own."""
    answerer = Answerer(model, "clamp", BATCH)
    queries = [Query(task, (), np.stack([frame(seed) for seed in seeds])) for task, seeds in shown]
    return [answer.actions for query in queries for answer in answerer([query]) if answer.actions is not None]


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


def packed(message: dict[str, object]) -> dict[str, object]:
    """Return a message with its arrays as openpi's maps."""

    def as_map(value: object) -> object:
        if not isinstance(value, np.ndarray):
            return value
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}

    return {key: as_map(value) for key, value in message.items()}


ARRAY = {b"__ndarray__": True, b"data": b"1234", b"dtype": "|u1", b"shape": [4]}
BAD = {
    "no msgpack": (b"\xc1\xff\xff", r"3 bytes that are no msgpack"),
    "half a message": (msgpack.packb(packed(observation(0)))[:-9], r"that are no msgpack \(.*incomplete"),
    "more than one": (b"\x01\x01", r"no msgpack \(unpack.*extra data"),
    "nested": (b"\x91" * 100_000 + b"\x01", r"no msgpack"),
    "text": ("hello", r"got 5 characters of text; expected msgpack in a binary frame"),
    "no map": (msgpack.packb([1]), r"got a list; expected a map with 'observation/image' and 'prompt'"),
    "no image": (msgpack.packb({"prompt": "x", "image": 1}), r"'observation/image' is missing; got 'prompt', 'image'"),
    "no prompt": (msgpack.packb({"observation/image": ARRAY}), r"'prompt' is missing"),
    "another client": (msgpack.packb({"type": "hello", "payload": {}}), r"as of vla-eval or starVLA"),
    "another version": (msgpack.packb({"protocol": "openpi/2"}), r"its 'protocol' is 'openpi/2'; expected 'openpi/1'"),
    "too long": (msgpack.packb(packed(observation(0, "x" * 501))), r"'prompt' is 501 characters; expected .* 1 to 500"),
    "no text": (msgpack.packb(packed(observation(0) | {"prompt": 3})), r"'prompt' is a int; expected an instruction"),
    "no truth": (msgpack.packb(packed(observation(0, reset="yes"))), r"'reset' is a str; expected true or false"),
    "episode": (msgpack.packb(packed(observation(0, episode_id=[1]))), r"'episode_id' is a list; expected a number"),
    "224": (
        msgpack.packb(packed(observation(0) | {"observation/image": np.zeros((224, 224, 3), np.uint8)})),
        r"shows 224 x 224 pixels; expected 8 x 8; render them so, .*or serve with --resize",
    ),
    "floats": (
        msgpack.packb(packed(observation(0) | {"observation/image": np.zeros((8, 8, 3))})),
        r"is float64 \[8, 8, 3\]; expected uint8 \[8, 8, 3\], or \[m, 8, 8, 3\]",
    ),
    "objects": (
        msgpack.packb({"a": ARRAY | {b"dtype": "|O"}}),
        r"an array of type '\|O'; expected one of truth, numbers",
    ),
    "records": (
        msgpack.packb({"a": ARRAY | {b"dtype": "(2,)u1"}}),
        r"an array of type '\(2,\)u1'; expected one of truth",
    ),
    "no type": (msgpack.packb({"a": ARRAY | {b"dtype": 3}}), r"an array of type '3'; expected one of truth, numbers"),
    "too few": (msgpack.packb({"a": ARRAY | {b"shape": [2**40, 2**40]}}), r"of 4 bytes; expected 1,208,925"),
    "negative": (msgpack.packb({"a": ARRAY | {b"shape": [-1]}}), r"an array of shape \[-1\]; expected a list of sizes"),
    "scalar": (
        msgpack.packb({"a": {b"__npgeneric__": True, b"data": "x", b"dtype": "<f4"}}),
        r"a scalar of float32 that is 'x'; expected a value of that type",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_observation_is_answered_by_a_sentence_and_the_end(server, name):
    content, message = BAD[name]
    with server.raw() as client:
        client.recv()
        client.send(content)
        sentence = client.recv()
        assert isinstance(sentence, str)
        assert len(sentence.splitlines()) == 1
        assert re.search(message, sentence), sentence
        with pytest.raises(ConnectionClosedError) as ended:
            client.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1011


def test_openpis_client_raises_the_sentence(server):
    client = server.client()
    with pytest.raises(RuntimeError, match="shows 224 x 224 pixels; expected 8 x 8"):
        client.infer(observation(0) | {"observation/image": np.zeros((224, 224, 3), np.uint8)})


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


def test_a_message_that_is_too_large_is_not_read(server):
    assert server.announced["max_message_bytes"] == MAX_BYTES
    with server.raw() as client:
        client.recv()
        with contextlib.suppress(ConnectionClosed):  # while it is still being sent
            client.send(bytes(MAX_BYTES + 1))
        with pytest.raises(ConnectionClosed) as ended:
            client.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1009


def shaken(port: int) -> socket.socket:
    """Return a connection on which a websocket has begun."""
    stream = socket.create_connection(("127.0.0.1", port))
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
    stream.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n".encode())
    assert stream.recv(12) == b"HTTP/1.1 101"
    return stream


def test_clients_that_vanish_in_the_middle_of_anything_harm_nobody(model, server):
    streams = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    streams[0].sendall(os.urandom(1000))  # no HTTP
    streams[1].sendall(b"GET / HT")  # half a greeting
    for sent in (b"\x82\xfe\x10\x00abcd" + bytes(100), b"\xff\xff\xff", b"\x82\xff" + struct.pack(">Q", 2**62)):
        streams.append(shaken(server.port))  # half a message, no frame of a websocket, a message of 4 EB
        streams[-1].sendall(sent)
    for stream in streams:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # as a machine that is cut off
        stream.close()
    assert server.client().infer(observation(0))["actions"].tolist() == alone(model, (TASKS[0], [0]))[0].tolist()


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


def test_more_clients_than_there_is_room_for_are_refused_at_the_door(server, monkeypatch):
    monkeypatch.setattr(serving, "MOST_CLIENTS", 2)
    clients = [server.client() for _ in range(2)]
    with pytest.raises(Exception, match="HTTP 503"):
        server.client()
    assert all(client.infer(observation(0))["actions"].shape == (CHUNK, 7) for client in clients)


def test_a_browser_is_refused(server):
    with pytest.raises(Exception, match="HTTP 403"):
        connect(f"ws://127.0.0.1:{server.port}", origin="http://example.com")  # pyright: ignore[reportArgumentType]


def test_the_end_of_the_server_ends_conversations(model):
    with running(model) as server:
        client = server.raw()
        client.recv()
    with pytest.raises(ConnectionClosed) as ended:
        client.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1001
