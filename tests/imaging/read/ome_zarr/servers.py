"""Servers on this computer's loopback that give the files of a folder."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from RangeHTTPServer import RangeRequestHandler


class Served:
    """What was asked of a server, and how it answers.

    Attributes
    ----------
    address : str
    asked : list of str
        Path of every request.
    refused, endless : str
        End of the paths that are forbidden, and of those that are answered by zeros without an end.
    n_sent : int
        Bytes of endless answers that were sent.
    """

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[str] = []
        self.refused = self.endless = "\0"
        self.n_sent = 0


@contextlib.contextmanager
def serving(folder: Path, ranges: bool = True) -> Iterator[Served]:
    """Serve a folder by HTTP, with parts of files or without; errors are told as S3 tells them."""
    served = Served()

    class Handler(RangeRequestHandler if ranges else SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            if self.path.endswith(served.refused):
                self.send_error(403)
            elif self.path.endswith(served.endless):
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    for _ in range(1 << 14):
                        served.n_sent += self.wfile.write(bytes(1 << 16))
            else:
                super().do_GET()

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            name = {403: "AccessDenied", 404: "NoSuchKey"}.get(code, "Error")
            body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>no</Message></Error>".encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
