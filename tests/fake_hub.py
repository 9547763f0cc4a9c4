"""A Hugging Face Hub on this machine, which can be slow, cut, stall, refuse and lie."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "c0ffee" + "0" * 34


class FakeHub:
    """One repository, served as the Hub does. Its attributes may be changed while it runs.

    `status` answers everything with that code (`error_code` as the Hub names it beside it);
    `file_status` the files only; `cut_after` ends a connection after so many bytes of a file;
    `stall_after` falls silent after so many until `go_on` is set; `served` replaces a file's content;
    `drips` sends what it tells of the model byte by byte, `dripped` of them up to 1000;
    `ranges` False ignores where a client wants to go on; `asked` is what came: (path, range).
    """

    def __init__(self, repo_id: str, files: dict[str, bytes]) -> None:
        self.repo_id = repo_id
        self.files = files
        self.large = {name for name, content in files.items() if len(content) > 100_000}
        self.status = self.file_status = 200
        self.error_code: str | None = None
        self.cut_after: int | None = None
        self.stall_after: int | None = None
        self.go_on = threading.Event()
        self.served: dict[str, bytes] = {}
        self.ranges = True
        self.silent = self.drips = False
        self.dripped = 0
        self.asked: list[tuple[str, str | None]] = []
        self.sent = 0
        self.address = ""

    def info(self) -> dict[str, object]:
        """What `/api/models/…?blobs=true` tells."""
        return {"id": self.repo_id, "sha": COMMIT, "siblings": [self._sibling(name) for name in self.files]}

    def _sibling(self, name: str) -> dict[str, object]:
        content = self.files[name]
        one = {"rfilename": name, "size": len(content),
               "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
        if name in self.large:
            one["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
        return one


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a model's folder, as `FakeHub` takes them."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve `hub` on a free port of this machine; `hub.address` is its endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                self._answer()
            except OSError:  # the client has gone
                self.close_connection = True

        def _answer(self) -> None:
            path = urlsplit(self.path).path
            hub.asked.append((path, self.headers.get("Range")))
            if hub.silent:
                hub.go_on.wait(60)
            if hub.status != 200:
                self._refuse(hub.status)
            elif path == f"/api/models/{hub.repo_id}":
                body = json.dumps(hub.info()).encode()
                self._head(200, 10**9 if hub.drips else len(body))
                for _ in range(1000 if hub.drips else 0):
                    hub.go_on.wait(0.02)
                    self.wfile.write(b" ")
                    hub.dripped += 1
                self.wfile.write(body)
            elif path.startswith(f"/{hub.repo_id}/resolve/") and (name := path.rsplit("/", 1)[1]) in hub.files:
                self._refuse(hub.file_status) if hub.file_status != 200 else self._file(name)
            else:
                self._refuse(404)

        def _refuse(self, status: int) -> None:
            self._head(status, 0, hub.error_code)

        def _head(self, status: int, length: int, error_code: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            if error_code:
                self.send_header("X-Error-Code", error_code)
            self.end_headers()

        def _file(self, name: str) -> None:
            content = hub.served.get(name, hub.files[name])
            start = 0
            if hub.ranges and (wanted := self.headers.get("Range")):
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            if start >= len(content) > 0:
                self._head(416, 0)
                return
            self._head(206 if start else 200, len(content) - start)
            for offset in range(start, len(content), 10_000):
                sent_here = offset - start
                if name in hub.large and hub.cut_after is not None and sent_here >= hub.cut_after:
                    self.close_connection = True
                    return
                if name in hub.large and hub.stall_after is not None and sent_here >= hub.stall_after:
                    hub.go_on.wait(60)
                piece = content[offset:offset + 10_000]
                self.wfile.write(piece)
                hub.sent += len(piece)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
