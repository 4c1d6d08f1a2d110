"""Serve a model's actions over openpi's websocket protocol; docs/serving.md.

    ./run serve RUN [--port 8000]

RUN is a run of ``data/models``, trained or released, a folder, or a repository of the hub.
"""

import argparse
import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from worldvla.api import load_model, no_bin_of
from worldvla.params.rollout import NoBin
from worldvla.serving.answering import Answerer
from worldvla.serving.server import PolicyServer, metadata
from worldvla.tokenizers.image import BATCH


def main(arguments: Sequence[str] | None = None) -> None:
    """Load a model and serve it until told to end."""
    parser = argparse.ArgumentParser(
        prog="./run serve", description="Serve a model's actions over openpi's websocket protocol."
    )
    parser.add_argument("run", help="a run of data/models, a folder, or owner/name on the hub")
    parser.add_argument("--tokenizer", type=Path, help="folder of the image tokenizer; found by its digest if absent")
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen; 0.0.0.0: on every network, without any log-in"
    )
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any that is free")
    parser.add_argument("--batch", type=int, default=4, help="queries that are answered together, at most (default: 4)")
    parser.add_argument(
        "--resize", action="store_true", help="scale square images of another size instead of refusing them"
    )
    parser.add_argument(
        "--no-bin",
        choices=("fail", "clamp"),
        help="of an answer with a token that is no action (default: as it was published)",
    )
    given = parser.parse_args(arguments)
    try:
        serve(given.run, given.tokenizer, given.host, given.port, given.batch, given.resize, given.no_bin)
    except ValueError as error:
        sys.exit(f"serve: {error}")
    except KeyboardInterrupt:  # while the model is loaded
        print("serve: interrupted; run the same command again", file=sys.stderr)
        sys.exit(130)


def serve(
    run: str, tokenizer: Path | None, host: str, port: int, batch: int, resize: bool, no_bin: NoBin | None
) -> None:
    """Serve a run until SIGINT or SIGTERM.

    Raises:
        ValueError: one sentence: no such run, one that cannot be asked, or a port that is not free.
    """
    if not 1 <= batch <= BATCH:
        raise ValueError(f"--batch is {batch}; expected 1 to {BATCH}")
    # Before the model, which may take minutes; until it listens, clients are refused and try again.
    with bound(host, port) as where, ThreadPoolExecutor(1, "model") as thread:
        model, folder = load_model(run, "action", tokenizer, batch=batch)
        answerer = Answerer(model, no_bin or no_bin_of(folder), batch)  # from here on the thread's alone
        announced = metadata(Path(run).name, model, batch, resize)
        asyncio.run(_serve(PolicyServer(answerer, thread, announced), where, announced))


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, but does not listen yet.

    Raises:
        ValueError: the port is in use or not ours, or the host is none of this machine.
    """
    if not 0 <= port < 2**16:  # the resolver would take what is left of it
        raise ValueError(f"--port is {port}; expected 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        where = socket.socket(family, kind, protocol)
        where.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        where.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"port {port} of {host} is in use; expected a free one; end what listens there, or name another: --port"
            ) from None
        raise ValueError(
            f"{host}, port {port}: {error.strerror}; expected an address of this machine and a port that may be used; correct "
            "--host or --port"
        ) from None
    return where


async def _serve(server: PolicyServer, where: socket.socket, announced: dict[str, object]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with server.listening(where):
        host, port = where.getsockname()[:2]
        shown = ", ".join(f"{key} {announced[key]}" for key in ("image_size", "history", "action_horizon", "batch"))
        print(f"serving {announced['model']} at ws://{host}:{port} ({shown}); Ctrl-C ends it", flush=True)
        await ended.wait()
    print("serve: ended; no client is connected any more")


if __name__ == "__main__":
    main()
