"""The shop's billing service for the demo: a small JSON API in a process of its own that wants a key.

``/customers/N`` answers with what is known of a customer, ``/headers`` with what was asked, as careless services do.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tidegate.cli.demo import seed
from tidegate.errors import ResourceError

PATIENCE = 20.0
"""Seconds the service may take to come up."""

KEY = "BILLING_KEY"
"""The variable that has the key; never an argument, which everybody on the machine could read."""


class Billing:
    """The service as a process; ``key`` is what the gateway presents."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.key = secrets.token_urlsafe(24)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tidegate.cli.demo.billing", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, KEY: self.key},
        )
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise ResourceError("the demo's billing service did not come up")

    def stop(self) -> None:
        """End the service, waiting for it."""
        self._process.terminate()
        self._process.wait()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    gone: set[int] = set()  # noqa: RUF012 - one service, one set

    def do_GET(self) -> None:
        """A customer, or what was asked."""
        if not self._known():
            return
        if self.path == "/headers":
            self._say(200, {name.lower(): value for name, value in self.headers.items()})
            return
        number = self._customer()
        if number is not None:
            row = seed.customer(number)
            card = {"number": row.card, "name": row.email.split("@")[0]}
            self._say(200, {"id": row.id, "email": row.email, "plan": row.plan, "card": card, "notes": [row.notes]})

    def do_DELETE(self) -> None:
        """Forget a customer."""
        if self._known() and (number := self._customer()) is not None:
            self.gone.add(number)
            self._say(200, {"deleted": number})

    def _known(self) -> bool:
        given = self.headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {os.environ[KEY]}".encode()):
            return True
        self._say(401, {"error": "no key"})
        return False

    def _customer(self) -> int | None:
        found = re.fullmatch(r"/customers/([1-9][0-9]{0,4})", self.path)
        if found is None or int(found[1]) > seed.CUSTOMERS or int(found[1]) in self.gone:
            self._say(404, {"error": "no such customer"})
            return None
        return int(found[1])

    def _say(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
