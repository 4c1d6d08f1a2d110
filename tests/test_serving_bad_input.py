"""The websocket server: whatever else may come in at its port."""

import contextlib
import os
import re
import socket
import struct

import msgpack
import numpy as np
import pytest
from served import alone, observation, packed, running
from toy_policy import CHUNK, TASKS, toy_model
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.sync.client import connect

from worldvla.serving import server as serving
from worldvla.serving.protocol import MAX_BYTES


@pytest.fixture(scope="module")
def model():
    return toy_model()


@pytest.fixture
def server(model):
    with running(model) as served:
        yield served


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


def test_more_clients_than_there_is_room_for_are_refused_at_the_door(server, monkeypatch):
    monkeypatch.setattr(serving, "MOST_CLIENTS", 2)
    clients = [server.client() for _ in range(2)]
    with pytest.raises(Exception, match="HTTP 503"):
        server.client()
    assert all(client.infer(observation(0))["actions"].shape == (CHUNK, 7) for client in clients)


def test_a_browser_is_refused(server):
    with pytest.raises(Exception, match="HTTP 403"):
        connect(f"ws://127.0.0.1:{server.port}", origin="http://example.com")  # pyright: ignore[reportArgumentType]
