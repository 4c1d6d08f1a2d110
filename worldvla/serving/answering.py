"""Queries of many clients as batches of one size, answered by one thread.

    clients   --ask-->   queue, in the order of arrival   --up to a batch of one length-->   thread with the model

Sums of a batch of four and of one differ in their last bits, and sometimes the likeliest token with them. So every batch is
filled up to the same size, by its first query again: then an answer depends neither on the others in its batch nor on its
place there, and many clients get the actions that each would get alone. That is bitwise so on a CPU (measured, tested). A
frame is encoded by itself on a CPU, and in passes of the same size on a GPU.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worldvla.model.policy import ChameleonPolicy
from worldvla.model.trained import TrainedModel
from worldvla.params.rollout import NoBin


@dataclass(frozen=True, eq=False)
class Query:
    """What a client asks: an instruction, the codes [n] of earlier frames, and new frames uint8 [m, px, px, 3]."""

    instruction: str
    past: tuple[NDArray[np.uint16], ...]
    frames: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Answer:
    """The codes [m, n] of a query's frames, and a chunk of actions [K, 7]; None: a token of the answer is no action."""

    codes: NDArray[np.uint16]
    actions: NDArray[np.float64] | None


class Answerer:
    """A model that answers some queries of one length as a batch of always the same size."""

    def __init__(self, model: TrainedModel, no_bin: NoBin, batch: int) -> None:
        self._prompt, self._policy, self.batch = model.prompt, ChameleonPolicy(model, no_bin, graphs=True), batch
        self._pass = batch if self._policy.on_gpu else 1  # frames that are encoded together

    def length(self, query: Query) -> tuple[int, int]:
        """Return what decides the length of a query's prompt: tokens of text, and frames."""
        return len(self._prompt("action", query.instruction)), len(query.past) + len(query.frames)

    def __call__(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer at most a batch of queries, all of one length."""
        assert 0 < len(queries) <= self.batch, "at most a batch"
        codes = self._encode(np.concatenate([query.frames for query in queries]))
        ends = np.cumsum([len(query.frames) for query in queries])
        new = np.split(codes, ends[:-1])
        histories = [np.stack([*query.past, *own]) for query, own in zip(queries, new, strict=True)]
        filling = self.batch - len(queries)
        instructions = [query.instruction for query in queries] + [queries[0].instruction] * filling
        actions = self._policy.act(instructions, histories + [histories[0]] * filling)
        return [Answer(own, chunk) for own, chunk in zip(new, actions, strict=False)]  # without the filling's

    def _encode(self, frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return the codes [N, n] of frames, in passes of one size."""
        filling = -len(frames) % self._pass
        filled = np.concatenate([frames, np.repeat(frames[:1], filling, axis=0)])
        passes = [
            self._policy.encode(filled[start : start + self._pass]) for start in range(0, len(filled), self._pass)
        ]
        return np.concatenate(passes)[: len(frames)]


class Queue:
    """Queries that wait for the thread with the model, which takes the oldest, and with it those that fit its batch."""

    def __init__(
        self,
        answer: Callable[[Sequence[Query]], list[Answer]],
        length: Callable[[Query], tuple[int, int]],
        batch: int,
        thread: Executor,
    ) -> None:
        self._answer, self._length, self._batch, self._thread = answer, length, batch, thread
        self._waiting: list[tuple[tuple[int, int], Query, asyncio.Future[Answer]]] = []
        self._some = asyncio.Event()

    async def ask(self, query: Query) -> Answer:
        """Return the answer to a query.

        Raises:
            Exception: whatever the model raised of this very query.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._length(query), query, answer))
        self._some.set()
        return await answer

    async def run(self) -> None:
        """Answer queries until cancelled."""
        while True:
            await self._some.wait()
            # Those whose clients are gone were cancelled.
            self._waiting = [entry for entry in self._waiting if not entry[2].done()]
            if not self._waiting:
                self._some.clear()
                continue
            oldest = self._waiting[0][0]
            batch = [entry for entry in self._waiting if entry[0] == oldest][: self._batch]
            self._waiting = [entry for entry in self._waiting if entry not in batch]
            await self._answer_batch([query for _, query, _ in batch], [answer for *_, answer in batch])

    async def _answer_batch(self, queries: list[Query], answers: list[asyncio.Future[Answer]]) -> None:
        """Answer some queries together; if that fails, each by itself, so that one spoils none of the others."""
        loop = asyncio.get_running_loop()
        try:
            results: list[Answer | Exception] = [*await loop.run_in_executor(self._thread, self._answer, queries)]
        except Exception as error:  # whatever a model may raise; it is the client's to read
            if len(queries) > 1:
                for query, answer in zip(queries, answers, strict=True):
                    await self._answer_batch([query], [answer])
                return
            results = [error]
        for answer, result in zip(answers, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
