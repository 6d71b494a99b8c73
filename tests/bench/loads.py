"""What keeps a way busy: pgbench, a reader of large results, idle sessions, and the disk alone.

The reader is a bare socket that recognises the end of a result, so that the agent's side costs as little as it can.
"""

from __future__ import annotations

import math
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from claims import percentile
from windows import Done, Way

READY = b"Z\0\0\0\x05I"
"""ReadyForQuery, idle: how every answer to a simple query ends."""

BLOCK = 4096


class LoadFailed(Exception):
    """A way did not do what was asked of it."""


@dataclass(frozen=True, slots=True)
class Pgbench:
    """One pgbench load. Its clock starts before the connections open, so a window lasts that much longer."""

    binary: Path
    flags: Sequence[str]
    clients: int
    seconds: float
    opened: dict[str, float] = field(default_factory=dict)

    def opening(self, way: Way) -> Done:
        """What only opens the connections: one transaction on each."""
        start = time.perf_counter()
        done = pgbench(self.binary, way, self.flags, self.clients, transactions=1)
        self.opened[way.name] = time.perf_counter() - start
        return done

    def window(self, way: Way) -> Done:
        """One window."""
        seconds = math.ceil(self.seconds + self.opened.get(way.name, 0.0) - 0.2)
        return pgbench(self.binary, way, self.flags, self.clients, seconds=seconds)


def pgbench(
    binary: Path, way: Way, flags: Sequence[str], clients: int, *, seconds: int = 0, transactions: int = 0
) -> Done:
    """pgbench for some seconds, or for some transactions a client. Raises LoadFailed."""
    how = ["-T", str(seconds)] if seconds else ["-t", str(transactions)]
    command = [str(binary / "pgbench"), "-n", *flags, "-c", str(clients), *how, "-h", "127.0.0.1"]
    done = subprocess.run(
        [*command, "-p", str(way.port), "-U", way.user, way.database],
        env={"PGPASSWORD": way.password, "PATH": "/usr/bin:/bin", "PGSSLMODE": "require" if way.tls else "disable"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    count = re.search(r"actually processed: (\d+)", done.stdout)
    if done.returncode or not rate or not count:
        raise LoadFailed(f"pgbench through {way.name}: {done.stdout}{done.stderr}")
    return Done(int(count[1]), float(rate[1]))


def initialise(binary: Path, way: Way) -> None:
    """pgbench's own tables, at scale 1."""
    where = ["-h", "127.0.0.1", "-p", str(way.port), "-U", way.user, way.database]
    environment = {"PGPASSWORD": way.password, "PATH": "/usr/bin:/bin"}
    subprocess.run([binary / "pgbench", "-i", "-q", *where], check=True, capture_output=True, env=environment)


def latencies(binary: Path, way: Way, flags: Sequence[str], clients: int, seconds: int, root: Path) -> list[float]:
    """The milliseconds that each transaction took."""
    log = root / f"latency-{way.name}"
    pgbench(binary, way, [*flags, "-l", f"--log-prefix={log}"], clients, seconds=seconds)
    (written,) = root.glob(f"{log.name}.*")
    taken = [int(line.split()[2]) / 1000 for line in written.read_text().splitlines()]
    written.unlink()
    return taken


class Connection:
    """One PostgreSQL session over a bare socket; logs in with a password in the clear, or none."""

    def __init__(self, way: Way) -> None:
        self._socket = socket.create_connection(("127.0.0.1", way.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = bytearray(1 << 18)
        words = "".join(f"{word}\0" for word in ("user", way.user, "database", way.database)).encode() + b"\0"
        self._socket.sendall(struct.pack(">II", 8 + len(words), 3 << 16) + words)
        tag, wanted = struct.unpack(">c4xI", self._socket.recv(9, socket.MSG_WAITALL))
        if tag != b"R" or wanted not in (0, 3):
            raise LoadFailed(f"{way.name}: cannot log in: {self._socket.recv(4096)!r}")
        if wanted == 3:
            self._send(b"p", way.password)
        self._answer(way.name)

    def ask(self, text: str) -> tuple[int, int]:
        """Run a statement; gives the rows that its tag counts and the bytes of the whole answer."""
        self._send(b"Q", text)
        size, end = self._answer(text)
        tag = end[:-6].rpartition(b"C\0\0")[2]
        return int(tag[2:-1].rpartition(b" ")[2] or 0), size

    def begin(self, text: str) -> None:
        """Ask without waiting for the answer."""
        self._send(b"Q", text)

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def over(self) -> bool:
        """Read what is there; whether the other side has closed."""
        try:
            return self._socket.recv_into(self._room) == 0
        except ConnectionError:
            return True

    def drop(self) -> None:
        """Go away without a word."""
        self._socket.close()

    def close(self) -> None:
        """Go away in order."""
        self._socket.sendall(b"X\0\0\0\x04")
        self._socket.close()

    def _send(self, kind: bytes, text: str) -> None:
        body = text.encode() + b"\0"
        self._socket.sendall(kind + struct.pack(">I", len(body) + 4) + body)

    def _answer(self, what: str) -> tuple[int, bytes]:
        """Read until the server is ready; gives the size and the last bytes. Raises LoadFailed for an error."""
        size, end = 0, b""
        while not end.endswith(READY):
            got = self._socket.recv_into(self._room)
            if not got or (not size and self._room[:1] == b"E"):
                raise LoadFailed(f"{what}: {bytes(self._room[:got])!r}")
            size += got
            end = (end + self._room[max(0, got - 64) : got])[-64:]
        return size, end


def bulk(connection: Connection, text: str, seconds: float) -> tuple[Done, Done]:
    """The same statement again and again: rows and bytes; at least once, however long it takes."""
    rows = size = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not size:
        more, bytes_ = connection.ask(text)
        rows, size = rows + more, size + bytes_
    return Done(rows, rows / elapsed), Done(size, size / elapsed)


def disk_sync(directory: Path, seconds: float) -> float:
    """The 99th percentile in milliseconds of a 4 KiB write and fdatasync in a preallocated file."""
    path, taken = directory / "sync", []
    with path.open("w+b", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, BLOCK * 4096)
        os.fsync(file.fileno())
        until = time.perf_counter() + seconds
        while (start := time.perf_counter()) < until:
            os.pwrite(file.fileno(), os.urandom(BLOCK), BLOCK * (len(taken) % 4096))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - start) * 1000)
    path.unlink()
    return percentile(taken, 0.99)


def memory(pid: int) -> int:
    """KiB of memory that the process does not share with others, and its part of what it shares (PSS)."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1])
