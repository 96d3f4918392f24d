"""A web server on this machine that hands out files with byte ranges, and fails when it is told to."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIF = b"\x00\x00\x00\x64\x00\x00\x00\x1f"


@dataclass
class Hosted:
    """What it has, and what it does to whom."""

    files: dict[str, bytes]
    ranges: bool = True
    cut: dict[str, list[int]] = field(default_factory=dict)
    """Bytes after which the next answers for a file break off."""
    status: dict[str, list[int]] = field(default_factory=dict)
    """Errors that the next answers for a file are."""
    announced: dict[str, dict[str, str]] = field(default_factory=dict)
    """What a list of its files says of them beside their sizes."""
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """What else it says of a file: `ETag`, `Last-Modified`."""
    careless: bool = False
    """Whether it takes no heed of `If-Range`."""
    late: int = 0
    """How many bytes later than asked its ranges begin."""
    redirect: str | None = None
    """Base address to which it sends everybody on."""
    served: Counter = field(default_factory=Counter)
    """Bytes of each file that were sent."""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""


@contextmanager
def hosted(files: dict[str, bytes], **how) -> Iterator[Hosted]:
    """Serve files as long as the block lasts."""
    state = Hosted(dict(files), **how)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            state.requests.append((name, dict(self.headers)))
            if state.redirect is not None:
                return self.answer(302, b"", Location=f"{state.redirect}/{name}")
            if errors := state.status.get(name):
                return self.answer(errors.pop(0), b"<html>an error page</html>")
            if name not in state.files:
                return self.answer(404, b"<html>not here</html>")
            content, status, more = state.files[name], 200, dict(state.headers.get(name, {}))
            condition = self.headers["If-Range"]
            same = state.careless or condition is None or condition in more.values()
            if state.ranges and same and (wanted := self.headers["Range"]):
                start = int(wanted.removeprefix("bytes=").rstrip("-")) + state.late
                more["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                content, status = content[start:], 206
            return self.answer(status, content, cut=state.cut.get(name, []), **more)

        def answer(self, status, content, cut=(), **headers):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            content = content[: cut.pop(0)] if cut else content
            state.served[self.path.lstrip("/")] += len(content)
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
