"""The hub on this machine, for those who write: repositories are made, large files taken, commits made of all."""

import base64
import json
from urllib.parse import urlsplit

from hub_server import LARGE, REVISION, Handler


class Taking(Handler):
    """Answers that let a client upload, unless a fault of the hub's ``write`` says otherwise."""

    def do_POST(self) -> None:  # noqa: N802 - the library's
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path, repository = urlsplit(self.path).path, self.hub.repository
        self.hub.starts[path].append(0)
        fault = self.hub.next_fault("write")
        if fault.status:
            self.send_whole(fault.status, b"{}", {"Content-Length": "2"})
        elif path == "/api/repos/create":
            self.send_json({"url": f"{self.hub.endpoint}/{repository}", "asked": json.loads(body)})
        elif path == "/api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
        elif path == f"/api/models/{repository}/preupload/main":
            files = [file["path"] for file in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(LARGE) else "regular" for name in files}
            answers = [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]
            self.send_json({"files": answers})
        elif path == f"/{repository}.git/info/lfs/objects/batch":
            objects = json.loads(body)["objects"]
            for one in objects:
                one["actions"] = {"upload": {"href": f"{self.hub.endpoint}/large/{one['oid']}"}}
            self.send_json({"objects": objects, "transfer": "basic"})
        elif path == f"/api/models/{repository}/commit/main":
            self.commit([json.loads(line) for line in body.splitlines()])
            url = f"{self.hub.endpoint}/{repository}/commit/{REVISION}"
            self.send_json({"commitUrl": url, "commitOid": REVISION})
        else:
            self.send_whole(404, b"", {})

    def do_PUT(self) -> None:  # noqa: N802 - the library's
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.files[self.path.removeprefix("/large/")] = content
        self.send_whole(200, b"", {})

    def commit(self, lines: list[dict]) -> None:
        """Put what is committed among the files of the repository; a large one was put there by its hash."""
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.hub.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.hub.files[value["path"]] = self.hub.files[value["oid"]]
        for name in [name for name in self.hub.files if len(name) == 64]:
            del self.hub.files[name]

    def send_json(self, value: object) -> None:
        self.send_whole(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
