"""Bad input on the port, dead upstreams, full disks, wrong files: a clear error, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from gateway import Gateway, Upstream, free_port
from servers import Postgres

from .conftest import shop

STARTUP = struct.pack(">II", 8, 80877103)

GARBAGE = [
    b"",
    b"\0",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    os.urandom(4096),
    struct.pack(">I", 2**31 - 1) + b"\0\3\0\0",
    struct.pack(">I", 4),
    struct.pack(">II", 9, 196608) + b"x",
    struct.pack(">II", 12, 196608) + b"user",
    STARTUP + STARTUP + STARTUP,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
]


def login(gateway: Gateway) -> socket.socket:
    """A raw connection past authentication."""
    peer = socket.create_connection(("127.0.0.1", gateway.port), 10)
    body = b"user\0agent\0database\0shop\0\0"
    peer.sendall(struct.pack(">II", len(body) + 8, 196608) + body)
    assert peer.recv(9)[:1] == b"R"
    token = gateway.token().encode() + b"\0"
    peer.sendall(b"p" + struct.pack(">I", len(token) + 4) + token)
    seen = b""
    while not seen.endswith(b"Z\0\0\0\5I"):
        data = peer.recv(65536)
        assert data, seen
        seen += data
    return peer


def alive(gateway: Gateway) -> None:
    """The gateway still serves."""
    with psycopg.connect(gateway.dsn(gateway.token()), connect_timeout=10) as agent:
        assert agent.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_on_the_port(gateway: Gateway, data: bytes) -> None:
    """Garbage and half messages before authentication end that connection only."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(15)
        while peer.recv(65536):
            pass
    alive(gateway)


@pytest.mark.parametrize(
    "data",
    [
        b"Q" + struct.pack(">I", 2**31 - 1) + b"select 1",
        b"P" + struct.pack(">I", 2**31 - 1),
        b"?" + struct.pack(">I", 4),
        b"Q" + struct.pack(">I", 0),
        b"X" + struct.pack(">I", 3),
        b"Z" + struct.pack(">I", 2**31 - 1),
        b"p" + struct.pack(">I", 9) + b"secret",
        b"F" + struct.pack(">I", 4),
        os.urandom(2000),
    ],
    ids=range(9),
)
def test_garbage_in_a_session(gateway: Gateway, data: bytes) -> None:
    """A message that cannot be is answered with an error, and ends at most its own session."""
    with login(gateway) as peer:
        peer.sendall(data)
        peer.settimeout(10)
        seen = peer.recv(65536)
        assert seen[:1] in (b"E", b""), seen[:200]
    alive(gateway)


def test_stray_copy_data_is_dropped(gateway: Gateway) -> None:
    """COPY data where no COPY is under way is ignored, as the server does: its COPY may just have failed."""
    with login(gateway) as peer:
        peer.sendall(b"d" + struct.pack(">I", 8) + b"data" + b"Q" + struct.pack(">I", 13) + b"select 1\0")
        peer.settimeout(30)
        assert peer.recv(65536)[:1] == b"T"


def test_statement_over_the_limit(gateway: Gateway) -> None:
    """A statement text over 1 MiB is refused, in step: the session goes on."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        with pytest.raises(psycopg.Error, match=r"(?i)limit"):
            agent.execute("select '" + "x" * (2 * 2**20) + "'", prepare=False)
        assert agent.execute("select 1").fetchone() == (1,)


def test_slow_handshakes_delay_nobody(postgres: Postgres, tmp_path: Path) -> None:
    """A hundred connections that never finish their handshake do not keep others out."""
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_slow"), limits={"handshake": "3s", "handshakes": "20"})
    gateway.start().people()
    slow = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(100)]
    for peer in slow:
        peer.sendall(b"\0\0")
    alive(gateway)
    time.sleep(4)
    slow[-1].settimeout(5)
    assert slow[-1].recv(1000) == b"", "a handshake past its deadline is closed"
    alive(gateway)
    for peer in slow:
        peer.close()
    gateway.stop()


def test_upstream_down(tmp_path: Path) -> None:
    """An upstream that is not there is said clearly, without its address."""
    port = free_port()
    gateway = Gateway(tmp_path / "gw", Upstream("127.0.0.1", port, "x", "y", "the-upstream-secret"))
    gateway.start().people()
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(gateway.dsn(gateway.token()))
    assert "cannot be reached" in str(caught.value) and f":{port}" not in str(caught.value).split("FATAL")[1]
    assert "the-upstream-secret" not in str(caught.value) + gateway.output
    assert gateway.stop() == 0


def test_upstream_dies_in_mid_result(tmp_path: Path) -> None:
    """An upstream killed in mid-result: the client gets an error, the log an indeterminate outcome."""
    with Postgres("18") as server:
        gateway = Gateway(tmp_path / "gw", shop(server, "shop_dies"))
        gateway.start().people()
        agent = psycopg.connect(gateway.dsn(gateway.token()), autocommit=True)
        agent.pgconn.send_query(b"select g, pg_sleep(0.0005) from generate_series(1, 1000000) g")
        agent.pgconn.flush()
        time.sleep(0.3)
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            while result := agent.pgconn.get_result():
                if result.error_message:
                    raise psycopg.OperationalError(result.error_message.decode())
        assert gateway.stop() == 0
    assert gateway.verify() == 0


def test_lying_upstream(tmp_path: Path) -> None:
    """An upstream that lies about lengths ends the session with a clear error, and the log stays whole."""
    server = socket.create_server(("127.0.0.1", 0))
    gateway = Gateway(tmp_path / "gw", Upstream("127.0.0.1", server.getsockname()[1], "x", "y"))
    gateway.start().people()
    import threading

    def lie() -> None:
        while True:
            try:
                peer, _ = server.accept()
                peer.recv(65536)
                peer.sendall(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\5I")
                peer.recv(65536)
                peer.sendall(b"T\0\0\0\3" + b"D\xff\xff\xff\xff" + bytes(100))
            except OSError:
                return

    threading.Thread(target=lie, daemon=True).start()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(gateway.dsn(gateway.token()), connect_timeout=10)
    server.close()
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def test_two_gateways_on_one_directory(gateway: Gateway) -> None:
    """A second gateway on the same data directory says so and leaves everything alone."""
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "serve", "--config", str(gateway.directory / "tidegate.yaml")],
        env={**os.environ, "UPSTREAM_PASSWORD": "x"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode not in (0, None) and "another" in done.stderr.lower(), done.stderr
    alive(gateway)


def test_a_typo_in_the_configuration(gateway: Gateway, tmp_path: Path) -> None:
    """A misspelt key is named with its line and the word that was meant."""
    text = (gateway.directory / "tidegate.yaml").read_text().replace("organisation:", "organistion:")
    (tmp_path / "tidegate.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "serve", "--config", str(tmp_path / "tidegate.yaml")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode and "organisation" in done.stderr and ":1" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_full_disk(postgres: Postgres, tmp_path: Path) -> None:
    """A disk without room: nothing is forwarded, the agent is told, and the log verifies afterwards."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(small)], check=True)
    try:
        gateway = Gateway(small / "gw", shop(postgres, "shop_full"), segment="4MiB")
        gateway.start().people()
        agent = psycopg.connect(gateway.dsn(gateway.token()), autocommit=True)
        agent.execute("select 1")
        with (small / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError):
            while True:
                ballast.write(bytes(65536))
        with pytest.raises(psycopg.Error) as caught:
            for number in range(100_000):
                agent.execute("insert into log values (%s)", [f"{number} " + "x" * 1000])
        assert caught.value.sqlstate in ("53100", "58030", "57P01", None), caught.value
        gateway.stop()
        (small / "ballast").unlink()
        gateway.start()
        alive(gateway)
        gateway.stop()
        assert gateway.verify() == 0
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_an_echoed_credential_does_not_arrive(gateway: Gateway, postgres: Postgres) -> None:
    """A row that holds the upstream's own password reaches the agent without it, and raises an alert."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        postgres.psql(f"insert into log values ('the password is {postgres.password}')", "shop_e2e")
        rows = agent.execute("select line from log where line = any (array(select line from log))").fetchall()
        postgres.psql("delete from log where line like 'the password%'", "shop_e2e")
    assert any("the password is xxxxxxxx" in str(row[0]) for row in rows)
    assert not any(postgres.password in str(row[0]) for row in rows)


def test_a_credential_cut_by_chunks_does_not_arrive(gateway: Gateway, postgres: Postgres) -> None:
    """A value so large that it is passed on in pieces is searched across them, in a row and in COPY data."""
    large = f"select repeat('{postgres.password}', 100000)"
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        (value,) = agent.execute(large).fetchone() or ("",)
        assert set(value) == {"x"} and len(value) == 100_000 * len(postgres.password)
        with agent.cursor().copy(f"copy ({large}) to stdout") as out:
            assert set(b"".join(bytes(piece) for piece in out)) == set(b"x\n")
        assert agent.execute("select 1").fetchone() == (1,)


def test_endless_refusals_delay_nobody(gateway: Gateway) -> None:
    """An agent that pipelines refused statements and never reads an answer keeps nobody else out."""
    with login(gateway) as peer:
        text = b"delete from orders\0"
        flood = (b"Q" + struct.pack(">I", len(text) + 4) + text) * 2000
        peer.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            for _ in range(200):
                peer.sendall(flood)
        for _ in range(3):
            alive(gateway)


def test_a_flood_behind_a_held_request(gateway: Gateway) -> None:
    """Megabytes sent behind a held request end that session, and the question with it."""
    with login(gateway) as peer:
        text = b"update orders set total = total\0"
        peer.sendall(b"Q" + struct.pack(">I", len(text) + 4) + text)
        assert b"held by rule" in peer.recv(4096)
        peer.settimeout(10)
        with contextlib.suppress(OSError):
            peer.sendall(bytes(8 * 2**20))
            while peer.recv(65536):
                pass
    until = time.monotonic() + 10
    while gateway.call("GET", "approvals", "bob")["items"]:
        assert time.monotonic() < until, "the question is still open"
        time.sleep(0.05)


def test_statements_sent_with_the_password(gateway: Gateway) -> None:
    """A client that does not wait for its login sends statements at once, held ones too: they wait their turn."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        body = b"user\0agent\0database\0shop\0\0"
        token = gateway.token().encode() + b"\0"
        texts = [b"select 41 + 1\0", b"update orders set total = total\0"]
        peer.sendall(
            struct.pack(">II", len(body) + 8, 196608) + body
            + b"p" + struct.pack(">I", len(token) + 4) + token
            + b"".join(b"Q" + struct.pack(">I", len(text) + 4) + text for text in texts)
        )  # fmt: skip
        seen = b""
        while b"held by rule" not in seen:
            data = peer.recv(65536)
            assert data, seen
            seen += data
        assert b"42" in seen
