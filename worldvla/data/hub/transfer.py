"""Requests to the hub: when to ask again, how a cut file goes on, and what a failure means in one sentence.

Everything that a person sets for the hub holds: ``HF_ENDPOINT`` (a mirror), ``HF_HUB_OFFLINE``, a login, proxies,
``HF_HUB_DOWNLOAD_TIMEOUT``. The requests are made here because what ``huggingface_hub`` 2.4.0 does with them does not fit
files of gigabytes: ``hf_hub_download`` throws a part of a file away when its process ends, ``list_repo_tree`` waits for an
answer without any limit, and both wait as long as the hub asks them to, be it a day. hf-xet is not used: what it has
fetched of a file is thrown away likewise.
"""

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import httpx2
from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, parse_ratelimit_headers

from worldvla.data.hub.published import File, Publication
from worldvla.running.console import Progress

NUM_TRIES = 5  # without a new byte
WAIT_S = 1.0  # before the second try; twice as long before each further one
LONG_WAIT_S = 10.0  # from here on a person is told
LONGEST_WAIT_S = 300  # the hub counts requests in windows of five minutes
LIST = "the list of files"
TRY_AGAIN = (408, 429, 500, 502, 503, 504)

Report = Callable[[int], object]


class Stopped(Exception):  # noqa: N818 - no error
    """Another file failed, or a person interrupted."""


def download(publication: Publication, file: File, partial: Path, report: Report, stop: threading.Event) -> None:
    """Append to ``partial`` what it lacks of a file, so that a download that was cut goes on where it stopped.

    Args:
        publication: where the file is.
        file: which.
        partial: what is here of it; grows, whatever happens, unless the hub has something else under the file's name.
        report: called with the number of bytes of each piece; with a negative one where the hub starts again at 0.
        stop: ends the transfer.

    Raises:
        ValueError: one sentence: the hub is out of reach, refuses, or has a file of another length.
        Stopped: ``stop`` was set.
    """
    repository, kind, revision = publication.repository, publication.kind, publication.revision
    url = hf_hub_url(repository, file.path, repo_type=kind, revision=revision)

    def receive() -> None:
        have = size(partial)
        if have == file.bytes and partial.exists():  # a file may be empty
            return
        with _answer(url, have) as response:
            if response.status_code == 416:  # the hub's file ends before
                report(-have)
                partial.unlink(missing_ok=True)
                return receive()
            resumed = response.status_code == 206
            length = None if "Content-Encoding" in response.headers else response.headers.get("Content-Length")
            # An answer that does not go on, as a log-in page's, says nothing about what is here.
            if length:
                check_length(have * resumed + int(length), spoilt=resumed or not have)
            elif have and not resumed:
                raise wrong_length("all of it again, of unknown length")
            if not resumed:
                report(-have)
            with partial.open("ab" if resumed else "wb") as stream:
                for chunk in response.iter_bytes():  # as they come: a buffer would be lost with the connection
                    if stop.is_set():
                        raise Stopped
                    stream.write(chunk)
                    report(len(chunk))
        check_length(size(partial), spoilt=True)

    def check_length(got: int, spoilt: bool) -> None:
        if got != file.bytes:
            if spoilt:  # going on with it would never give the right file
                partial.unlink(missing_ok=True)
            raise wrong_length(f"{got:,} bytes")

    def wrong_length(got: str) -> ValueError:
        return ValueError(
            f"{_where(publication, file.path)}: {got}; expected {file.bytes:,}; run the same command to fetch it again, or "
            f"{publication.instead}"
        )

    _insist(publication, file.path, receive, lambda: size(partial), stop)


def list_files(publication: Publication) -> tuple[File, ...]:
    """Return what a repository holds at the pinned revision, by path.

    Raises:
        ValueError: one sentence: the hub is out of reach or refuses.
    """
    kind, revision = publication.kind, publication.revision
    url: str | None = f"{constants.ENDPOINT}/api/{kind}s/{publication.repository}/tree/{revision}?recursive=true"
    entries: list[dict[str, Any]] = []

    def receive() -> None:
        nonlocal url
        while url:
            with _answer(url, 0) as response:
                response.read()
            try:
                page = response.json()
            except ValueError:
                page = None
            if not isinstance(page, list) or not all(_is_entry(entry) for entry in page):
                raise ValueError(
                    f"{_where(publication, LIST)}: {len(response.content):,} bytes of something else; expected a list in "
                    f"JSON; check the network and HF_ENDPOINT, or {publication.instead}"
                )
            entries.extend(page)
            url = response.links.get("next", {}).get("url")

    _insist(publication, LIST, receive, lambda: len(entries), threading.Event())
    files = [
        File(entry["path"], entry["size"], entry.get("lfs", {}).get("oid"), entry["oid"])
        for entry in entries
        if entry["type"] == "file"
    ]
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(
                f"{_where(publication, LIST)}: the path '{path}'; expected one inside the repository; check HF_ENDPOINT, or "
                f"{publication.instead}"
            )
    return tuple(sorted(files, key=lambda file: file.path))


def commit(publication: Publication) -> str:
    """Return the commit that a repository's branch is at.

    Raises:
        ValueError: one sentence: the hub is out of reach or refuses.
    """
    kind, what = publication.kind, f"the commit of {publication.revision}"
    url = f"{constants.ENDPOINT}/api/{kind}s/{publication.repository}/revision/{publication.revision}"
    answers: list[object] = []

    def receive() -> None:
        with _answer(url, 0) as response:
            response.read()
        try:
            answers.append(response.json()["sha"])
        except (ValueError, KeyError, TypeError):
            answers.append(None)

    _insist(publication, what, receive, lambda: len(answers), threading.Event())
    (sha,) = answers
    if not isinstance(sha, str) or not re.fullmatch("[0-9a-f]{40}", sha):
        raise ValueError(
            f"{_where(publication, what)}: {sha}; expected 40 hexadecimal digits; check the network and HF_ENDPOINT, or "
            f"{publication.instead}"
        )
    return sha


def _is_entry(entry: object) -> bool:
    """Return whether this is what the hub lists of a file or a folder."""
    if not isinstance(entry, dict) or entry.get("type") != "file":
        return isinstance(entry, dict) and "type" in entry
    kinds = {"path": str, "size": int, "oid": str}
    return all(isinstance(entry.get(key), kind) for key, kind in kinds.items()) and isinstance(
        entry.get("lfs", {}), dict
    )


def size(path: Path) -> int:
    """Return the bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _answer(url: str, start: int) -> Iterator[httpx2.Response]:
    """Yield the hub's answer, its body from byte ``start`` still to be read; raise if it is none."""
    # Compressed answers cannot be gone on with.
    headers = build_hf_headers(library_name="worldvla") | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT  # for the next bytes, not for all
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        if response.status_code != 416 or not start:  # to a request for all of a file it is no answer
            hf_raise_for_status(response)
        yield response


def _insist(
    publication: Publication, what: str, ask: Callable[[], None], progress: Callable[[], int], stop: threading.Event
) -> None:
    """Call ``ask`` until it returns; give up after some tries without progress, or when the answer will not change."""
    tries, before = 0, progress()
    while True:
        try:
            return ask()
        except (httpx2.RequestError, HfHubHTTPError) as error:
            if progress() != before:
                tries, before = 0, progress()
            tries += 1
            wait_s = _wait_s(error, tries)
            if tries == NUM_TRIES or wait_s is None or wait_s > LONGEST_WAIT_S:
                raise ValueError(_sentence(publication, what, error, wait_s)) from None
            if wait_s >= LONG_WAIT_S:
                Progress.write(f"{what}: {_got(error)}; asking again in {wait_s:.0f} s", sys.stderr)
        if stop.wait(wait_s):
            raise Stopped


def _wait_s(error: httpx2.RequestError | HfHubHTTPError, tries: int) -> float | None:
    """Return how long to wait before asking again; None: the answer will not change."""
    if not isinstance(error, HfHubHTTPError):
        return WAIT_S * 2 ** (tries - 1)
    if error.response.status_code not in TRY_AGAIN:
        return None
    limit = parse_ratelimit_headers(error.response.headers)
    asked = error.response.headers.get("Retry-After", "")
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds
    return int(asked) if asked.isdigit() else WAIT_S * 2 ** (tries - 1)


def _where(publication: Publication, what: str) -> str:
    return f"'{what}' of {publication.repository} at {constants.ENDPOINT}"


def _got(error: httpx2.RequestError | HfHubHTTPError) -> str:
    if isinstance(error, HfHubHTTPError):
        return f"the hub answers HTTP {error.response.status_code}"
    return f"the connection fails ({type(error).__name__})"


def _sentence(
    publication: Publication, what: str, error: httpx2.RequestError | HfHubHTTPError, wait_s: float | None
) -> str:
    """Return what went wrong, what was expected and what to do."""
    where, got, expected = _where(publication, what), _got(error), "an answer"
    again = "run the same command, which goes on where it stopped"
    todo = f"check the network and {again}"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        code = error.response.headers.get("X-Error-Code")
        todo = f"later {again}"
        if code == "RevisionNotFound":
            where, got = publication.repository, f"no revision {publication.revision} at {constants.ENDPOINT}"
            expected, todo = "the one that worldvla/data/hub/repositories.yaml names", "correct it there"
        elif code == "GatedRepo":
            got, expected = f"its owner asks for consent (HTTP {status})", "leave to read it"
            todo = "accept the terms on its page, and log in with: hf auth login"
        elif status in (401, 403):
            got, expected = f"the hub refuses it (HTTP {status})", "leave to read it"
            todo = "log in with: hf auth login"
        elif status == 404:
            got, expected = f"not there at revision {publication.revision} (HTTP 404)", "it there"
            todo = "correct worldvla/data/hub/repositories.yaml, or HF_ENDPOINT if it names a mirror"
        elif status == 429:
            got = f"the hub takes no more requests for {wait_s or 0:.0f} s (HTTP 429)"
            todo = f"then {again}"
    return f"{where}: {got}; expected {expected}; {todo}, or {publication.instead}"
