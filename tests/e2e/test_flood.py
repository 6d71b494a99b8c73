"""Two thousand connections that never become sessions: memory and places stay bounded, and others still get in."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway import Gateway
from servers import Postgres

from .conftest import shop

SOCKETS, PLACES = 2000, 50
MEBIBYTE = 2**20
BOUND = 48 * MEBIBYTE
"""Memory that the flood may cost: what ``PLACES`` connections may keep unread, and room for the allocator."""

STARTUP = b"user\0agent\0database\0shop\0\0"


def hello() -> bytes:
    """The first record of a TLS handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


FLOODS = {
    "silence": b"",
    "half a startup packet": struct.pack(">II", 200, 3 << 16) + b"user\0",
    "a huge length": struct.pack(">II", 2**31 - 1, 3 << 16) + bytes(8192),
    "half a TLS handshake": hello()[:-1],
    "a TLS handshake that stops": struct.pack(">II", 8, 80877103),
    "direct TLS that stops": hello(),
    "startup without a password": struct.pack(">II", len(STARTUP) + 8, 3 << 16) + STARTUP,
    "a megabyte behind the startup": struct.pack(">II", len(STARTUP) + 8, 3 << 16) + STARTUP + bytes(MEBIBYTE),
}


@pytest.fixture(scope="module")
def besieged(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with few places at the door."""
    limits = {"handshakes": str(PLACES), "handshake": "60s"}
    gateway = Gateway(tmp_path_factory.mktemp("flood") / "gw", shop(postgres, "shop_flood"), limits=limits)
    gateway.start().people()
    enter(gateway)
    yield gateway
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def status(gateway: Gateway, name: str) -> int:
    """A number of the process's status, in kB where it is memory."""
    assert gateway.process is not None
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def descriptors(gateway: Gateway) -> int:
    """Files and sockets that the process has open."""
    assert gateway.process is not None
    return len(list(Path(f"/proc/{gateway.process.pid}/fd").iterdir()))


def enter(gateway: Gateway) -> None:
    """A client with a token gets in."""
    with psycopg.connect(gateway.dsn(gateway.token()), connect_timeout=30) as agent:
        assert agent.execute("select 1").fetchone() == (1,)


@contextlib.contextmanager
def flood(gateway: Gateway, data: bytes) -> Iterator[int]:
    """Connections that send ``data`` and no more; gives the most descriptors seen while they arrived."""
    peers, most = [], 0
    try:
        for number in range(SOCKETS):
            peer = socket.create_connection(("127.0.0.1", gateway.port), 30)
            peer.setblocking(False)
            with contextlib.suppress(OSError):  # a full buffer, or already cut off
                peer.send(data)
            peers.append(peer)
            if number % 100 == 0:
                most = max(most, descriptors(gateway))
        yield most
    finally:
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("kind", FLOODS)
def test_flood(besieged: Gateway, kind: str) -> None:
    """Whatever the flood says, a session that was open goes on, others get in, and memory stays within its bound."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, SOCKETS + 500)), hard))
    calm, before = descriptors(besieged), status(besieged, "VmRSS") * 1024
    with psycopg.connect(besieged.dsn(besieged.token()), autocommit=True) as inside:
        with flood(besieged, FLOODS[kind]) as most:
            enter(besieged)
            assert inside.execute("select 2").fetchone() == (2,)
            assert status(besieged, "VmRSS") * 1024 - before < BOUND
            assert max(most, descriptors(besieged)) < calm + PLACES + 600, "places at the door, and the kernel's queue"
        assert inside.execute("select 3").fetchone() == (3,)
