"""A hub on this machine: a server that answers like the real one, and fails where a test wants it to."""

import hashlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from huggingface_hub import constants

from worldvla.data.hub import transfer

REPOSITORY, REVISION = "someone/things", "0123456789abcdef0123456789abcdef01234567"
PAGE = 2  # entries per page of a listing
LARGE = (".bin", ".ckpt", ".safetensors")  # of which the hub lists the sha256


@dataclass
class Fault:
    """How the hub fails at a file; the first ``times`` times, then it does not."""

    times: int = 1000
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of the body, then the connection ends
    stall_s: float = 0.0  # before it ends
    content: bytes | None = None  # in the place of the file's
    no_ranges: bool = False  # sends all of a file whatever is asked for
    no_length: bool = False  # does not say how long its answer is


@dataclass
class Hub:
    """A repository with files, its branch main at ``REVISION``, and what was asked of it."""

    files: dict[str, bytes]
    repository: str = REPOSITORY
    kind: str = "dataset"
    endpoint: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)
    starts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # first byte of each request
    tokens: dict[str, str | None] = field(default_factory=dict)  # what the request for a file's bytes told of the login
    elsewhere: str = ""  # where files lie, if not at the endpoint
    sent: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # bytes of bodies

    @property
    def num_requests(self) -> int:
        return sum(map(len, self.starts.values()))

    def next_fault(self, path: str) -> Fault:
        fault = self.faults.get(path, Fault(times=0))
        fault.times -= 1
        return fault if fault.times >= 0 else Fault()

    def listing(self) -> list[dict[str, object]]:
        """Return what the hub's tree says: folders too, sha256 for large files only, git's hash for the others."""
        entries: list[dict[str, object]] = []
        for path in sorted({path.rpartition("/")[0] for path in self.files} - {""}):
            entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        for path, content in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, object] = {"type": "file", "oid": blob, "size": len(content), "path": path}
            if path.endswith(LARGE):
                entry |= {"oid": "f" * 40, "lfs": {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}}
            entries.append(entry)
        return entries


class Handler(BaseHTTPRequestHandler):
    """Answers for one hub."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        repository, api = self.hub.repository, f"/api/{self.hub.kind}s/{self.hub.repository}"
        resolve = f"{'/datasets' * (self.hub.kind == 'dataset')}/{repository}/resolve/{REVISION}/"
        if url.path == f"{api}/revision/main":
            self.send_commit()
        elif url.path == f"{api}/tree/{REVISION}":
            self.send_page(int(parse_qs(url.query).get("cursor", ["0"])[0]))
        elif url.path.startswith(resolve):
            # As the real one does with large files: they lie elsewhere.
            self.send_response(302)
            self.send_header(
                "Location", f"{self.hub.elsewhere or self.hub.endpoint}/elsewhere/{url.path.removeprefix(resolve)}"
            )
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif url.path.startswith("/elsewhere/"):
            self.send_file(unquote(url.path.removeprefix("/elsewhere/")))
        else:
            self.send_whole(404, b"", {"X-Error-Code": "RepoNotFound"})

    def send_commit(self) -> None:
        self.hub.starts["commit"].append(0)
        fault = self.hub.next_fault("commit")
        body = (
            json.dumps({"id": self.hub.repository, "sha": REVISION}).encode()
            if fault.content is None
            else fault.content
        )
        self.send_whole(fault.status or 200, body, fault.headers)

    def send_page(self, start: int) -> None:
        self.hub.starts["list"].append(start)
        fault = self.hub.next_fault("list")
        if fault.content is not None or fault.status:
            self.send_whole(fault.status or 200, fault.content or b"", fault.headers)
            return
        entries = self.hub.listing()
        more = f'<{self.hub.endpoint}{urlsplit(self.path).path}?recursive=true&cursor={start + PAGE}>; rel="next"'
        headers = {"Link": more} if start + PAGE < len(entries) else {}
        self.send_whole(200, json.dumps(entries[start : start + PAGE]).encode(), headers)

    def send_whole(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, path: str) -> None:
        self.hub.tokens[path] = self.headers.get("Authorization")
        fault = self.hub.next_fault(path)
        content = self.hub.files[path] if fault.content is None else fault.content
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.hub.starts[path].append(start)
        start = 0 if fault.no_ranges else start
        if fault.status:
            self.send_whole(fault.status, b"no", fault.headers)
            return
        if start and start >= len(content):
            self.send_whole(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if start else 200)
        if fault.no_length:
            self.close_connection = True  # which is how its answer ends
        else:
            self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        body = content[start:] if fault.cut_after is None else content[start : start + fault.cut_after]
        self.wfile.write(body)
        self.hub.sent[path] += len(body)
        if len(body) < len(content) - start:
            self.wfile.flush()
            time.sleep(fault.stall_s)
            self.close_connection = True


class Server(ThreadingHTTPServer):
    """A server that says nothing of clients that go away."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None: ...


@contextmanager
def serve(
    files: dict[str, bytes], repository: str = REPOSITORY, kind: str = "dataset", handler: type[Handler] = Handler
) -> Iterator[Hub]:
    """Yield a hub with these files, listening on this machine only."""
    hub = Hub(files, repository, kind)
    server = Server(("127.0.0.1", 0), type("Bound", (handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use(hub: Hub, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let this process take a hub for the real one, with an empty cache, as ``HF_ENDPOINT`` and ``HF_HUB_CACHE`` would."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transfer, "WAIT_S", 0.0)
