"""A policy behind a websocket: one conversation per connection, one queue for all.

    client connects     <--   metadata
    observation         -->
                        <--   {"actions": [K, 7], "server_timing": {...}}
    what is none        -->
                        <--   one sentence as text, then close 1011

Source: `websocket_policy_server.py` of openpi (15a9616). Deviations: the model answers in a thread of its own, so that pings
and ``GET /healthz`` are answered meanwhile; messages are bounded; the text of a client's own mistake is a sentence, of ours a
traceback.
"""

import asyncio
import contextlib
import http
import logging
import time
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from socket import socket
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from worldvla.model.trained import TrainedModel
from worldvla.serving import sessions
from worldvla.serving.answering import Answer, Answerer, Query, Queue
from worldvla.serving.protocol import MAX_BYTES, VERSION, pack, unpack
from worldvla.serving.sessions import Session, read_observation

MOST_CLIENTS = 64  # at a time
CLOSING_S = 2.0  # for the other side to agree that a connection ends
NO_ACTION = (
    "policy: a token of the model's answer is no action; expected bins alone; train for longer, or serve with --no-bin clamp, by "
    "which it counts as the nearest bin"
)


def metadata(name: str, model: TrainedModel, batch: int, resize: bool) -> dict[str, Any]:
    """Return what a client is told first: all that it must do as in the model's training.

    Args:
        name: of the model.
        model: the model.
        batch: queries that are answered together.
        resize: whether images of another size are scaled.
    """
    return {
        "protocol": VERSION,
        "model": name,
        "image_key": sessions.IMAGE,
        "prompt_key": sessions.PROMPT,
        "image_size": [model.images.pixels, model.images.pixels],
        "image_channels": "RGB",
        # As LIBERO's clients of openpi send it: obs["agentview_image"][::-1, ::-1].
        "image_rotated_180": True,
        "resizes": resize,
        "normalisation": "none: uint8 images in, commands of env.step out",
        "history": model.settings.history,
        "history_spacing": 1,  # steps of the environment between the frames of a query
        "reset_keys": [sessions.RESET, sessions.EPISODE],
        "action_horizon": model.settings.chunk,
        "action_dim": 7,
        "action_low": list(model.actions.low),
        "action_high": list(model.actions.high),
        "gripper": {"open": -1, "close": 1},
        "ignored_keys": ["observation/state", "observation/wrist_image"],
        "batch": batch,
        "max_message_bytes": MAX_BYTES,
    }


class PolicyServer:
    """Answers observations with chunks of actions."""

    def __init__(self, answerer: Answerer, thread: Executor, announced: dict[str, Any]) -> None:
        """Wrap a model.

        Args:
            answerer: the model.
            thread: one that owns it.
            announced: see ``metadata``.
        """
        self._queue = Queue(answerer, answerer.length, answerer.batch, thread)
        self._announced = announced
        self._pixels, self._history = announced["image_size"][0], announced["history"]
        self._num_clients = 0

    @contextlib.asynccontextmanager
    async def listening(self, where: socket) -> AsyncIterator[Server]:
        """Serve on a bound socket while the block runs."""
        quiet = logging.getLogger("worldvla.serving.websockets")
        quiet.setLevel(logging.CRITICAL)  # what is no websocket, and who hangs up, is no news
        answers = asyncio.create_task(self._queue.run())
        try:
            async with serve(
                self._converse,
                sock=where,
                process_request=self._at_the_door,
                compression=None,
                max_size=MAX_BYTES,
                max_queue=1,  # a client that does not wait for answers is not read
                close_timeout=CLOSING_S,
                origins=[None],  # no browser, whatever page it shows
                logger=quiet,
            ) as server:
                yield server
        finally:
            answers.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answers

    def _at_the_door(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if self._num_clients >= MOST_CLIENTS:
            return connection.respond(
                http.HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MOST_CLIENTS} clients are connected already; expected fewer; try later\n",
            )
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        self._num_clients += 1
        session, num_answers, previous_s = Session(self._history), 0, None
        try:
            await connection.send(pack(self._announced))
            async for content in connection:
                began = time.monotonic()
                reply = await self._reply(connection, session, content, previous_s)
                await connection.send(reply)
                if isinstance(reply, str):
                    await connection.close(CloseCode.INTERNAL_ERROR, "an error, which the frame before says")
                    break
                num_answers, previous_s = num_answers + 1, time.monotonic() - began
        except ConnectionClosed:
            pass
        finally:
            self._num_clients -= 1
            print(f"a client is gone after {num_answers} answers; {self._num_clients} are here", flush=True)

    async def _reply(
        self, connection: ServerConnection, session: Session, content: bytes | str, previous_s: float | None
    ) -> bytes | str:
        """Return the frame that answers one of a client's; text is an error.

        Raises:
            ConnectionClosed: the client did not wait for it.
        """
        began = time.monotonic()
        try:
            observation = read_observation(unpack(content), self._pixels, self._history, self._announced["resizes"])
            query = Query(observation.prompt, session.past(observation), observation.frames)
            answer = await self._answer_while_open(connection, query)
        except ConnectionClosed:
            raise
        except ValueError as error:
            return str(error)
        except Exception:  # of the model; the client is told, as by openpi's server, and others go on
            traceback.print_exc()
            return traceback.format_exc()
        session.note(answer.codes)
        if answer.actions is None:
            return NO_ACTION
        timing = {"infer_ms": 1000 * (time.monotonic() - began)}
        if previous_s is not None:
            timing["prev_total_ms"] = 1000 * previous_s
        return pack({"actions": answer.actions, "server_timing": timing})

    async def _answer_while_open(self, connection: ServerConnection, query: Query) -> Answer:
        """Return the answer to a query, which is taken back if its client goes."""
        asked = asyncio.ensure_future(self._queue.ask(query))
        gone = asyncio.ensure_future(connection.wait_closed())
        try:
            await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                await connection.send(b"")  # raises how it closed
            return await asked
        finally:
            asked.cancel()
            gone.cancel()
