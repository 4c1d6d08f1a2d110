"""A server on a port of this machine, with a policy that costs nothing."""

import asyncio
import contextlib
import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from toy_policy import TASKS, frame
from websockets.sync.client import connect

from worldvla.serving.answering import Answerer, Query
from worldvla.serving.server import PolicyServer, metadata

BATCH = 4


class Running:
    """A server on a port of this machine, and what it was asked."""

    def __init__(self, model, resize: bool, no_bin) -> None:
        self.model, self.batches, self.hold, self.spoilt = model, [], threading.Event(), None
        self.hold.set()
        self._clients: list[WebsocketClientPolicy] = []
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
        for client in self._clients:
            client._ws.close()
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def client(self) -> WebsocketClientPolicy:
        self._clients.append(WebsocketClientPolicy("127.0.0.1", self.port))
        return self._clients[-1]

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


def observation(seed: int, task: str = TASKS[0], **more: object) -> dict[str, object]:
    return {"observation/image": frame(seed), "prompt": task, **more}


def alone(model, *shown: tuple[str, list[int]]) -> list[np.ndarray]:
    """Return what a model answers to instructions and frames, without any server, each in a batch of its own."""
    answerer = Answerer(model, "clamp", BATCH)
    queries = [Query(task, (), np.stack([frame(seed) for seed in seeds])) for task, seeds in shown]
    return [answer.actions for query in queries for answer in answerer([query]) if answer.actions is not None]


def packed(message: dict[str, object]) -> dict[str, object]:
    """Return a message with its arrays as openpi's maps."""

    def as_map(value: object) -> object:
        if not isinstance(value, np.ndarray):
            return value
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}

    return {key: as_map(value) for key, value in message.items()}
