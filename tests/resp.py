"""Commands in Redis's protocol over a plain socket, for tests that need the very bytes."""

from __future__ import annotations

import socket


class Raw:
    """Bytes, in and out, within 15 seconds."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(15)

    def say(self, *words: str | bytes) -> Raw:
        """Send one command."""
        raw = [word.encode() if isinstance(word, str) else word for word in words]
        return self.send(b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in raw))

    def send(self, data: bytes) -> Raw:
        """Send these bytes."""
        self.socket.sendall(data)
        return self

    def reads(self, expected: bytes) -> bytes:
        """Everything up to this."""
        data = b""
        while expected not in data:
            more = self.socket.recv(65536)
            assert more, f"the gateway closed the connection after {data!r}"
            data += more
        return data

    def rest(self) -> bytes:
        """Everything until the gateway closes."""
        data = b""
        while more := self.socket.recv(65536):
            data += more
        return data

    def close(self) -> None:
        """Leave."""
        self.socket.close()
