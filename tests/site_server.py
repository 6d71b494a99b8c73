"""A real HTTP server on loopback with canned answers: what a provider publishes, and what a hostile one sends.

An answer is a body, or a function that writes to the connection what it likes. Requests are counted by path, and the
headers of the last one on each are kept.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from certificates import Pair

Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


class Site:
    """Serves ``answers`` by path while entered; over TLS with a ``pair``."""

    def __init__(self, pair: Pair | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.heard: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if pair else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, path: str, value: object) -> str:
        """Answer ``path`` with ``value`` as JSON; gives its address."""
        self.answers[path] = json.dumps(value).encode()
        return self.url + path

    def _handler(site) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked[self.path] += 1
                site.headers = {name.lower(): value for name, value in self.headers.items()}
                site.heard[self.path] = site.headers
                answer = site.answers.get(self.path)
                if callable(answer):
                    answer(self)
                    return
                # A connection closed over a body nobody read is reset, and the answer may be lost with it.
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Length", str(len(answer or b"")))
                self.end_headers()
                self.wfile.write(answer or b"")

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler
