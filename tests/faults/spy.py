"""An upstream spy: a relay before the real server that sees every byte the gateway sends, at the moment it arrives.

It asks for each marked statement whether its intent is in evidence: durable for a change, in the kernel for a read.
What is durable is told by an interposed fdatasync (shim.c), not by the gateway.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

MARK = re.compile(rb"/\*(change|read) (\d+)\*/")


def shim(directory: Path) -> Path:
    """Build the interposer."""
    library = directory / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return library


def leaves(segment: bytes) -> Iterator[dict[str, object]]:
    """The leaves of a write-ahead segment, or of the durable part of one (docs/spec/log.md)."""
    at = 64
    while at + 48 <= len(segment):
        length, kind = struct.unpack_from(">IB", segment, at)
        end = at + 48 + length
        if not length or end > len(segment):
            return
        if kind == 1:
            yield json.loads(segment[at + 48 : end])
        at = end + (-end % 8)


class Evidence:
    """What the log holds, seen from outside."""

    def __init__(self, data: Path, journal: Path) -> None:
        self._data = data
        self._journal = journal

    def intents(self, *, durable: bool) -> int:
        """How many intents the write-ahead log holds: all that reached the kernel, or only the durable ones."""
        ends: dict[str, int] = {}
        if durable:
            for line in self._journal.read_text().splitlines() if self._journal.exists() else ():
                end, path = line.split(" ", 1)
                ends[path] = max(int(end), ends.get(path, 0))
        count = 0
        for path in sorted((self._data / "wal").glob("*.wal")):
            content = path.read_bytes()
            content = content[: ends.get(str(path.resolve()), 0)] if durable else content
            count += sum(leaf["k"] == "op.intent" for leaf in leaves(content))
        return count


class Spy:
    """Listens on ``port`` and relays to the server; ``violations`` are statements that came before their evidence."""

    def __init__(self, server_port: int, evidence: Evidence) -> None:
        self._server_port = server_port
        self._evidence = evidence
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.seen: list[int] = []
        self.violations: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                gateway, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            threading.Thread(target=self._copy, args=(gateway, server, True), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, gateway, False), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, watched: bool) -> None:
        try:
            while data := source.recv(65536):
                for found in MARK.finditer(data) if watched else ():
                    self._check(found.group(1).decode(), int(found.group(2)))
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                end.close()

    def _check(self, kind: str, number: int) -> None:
        self.seen.append(number)
        have = self._evidence.intents(durable=kind == "change")
        if have < number:
            self.violations.append(f"{kind} {number} arrived when only {have} intents were in evidence")
