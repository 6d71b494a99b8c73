"""How a connection opens: versions, encryption, certificates, OAUTHBEARER, replication, with real clients."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import pq

import certificates
from gateway import POLICY, Gateway
from servers import Postgres

from .conftest import shop

V3 = 3 << 16
ENCRYPT = struct.pack(">II", 8, 80877103)


def libpq() -> ctypes.CDLL:
    """The very libpq that psycopg uses, to call what psycopg does not wrap."""
    with open("/proc/self/maps") as maps:
        path = next(line.split()[-1] for line in maps if "libpq" in line and "psycopg" in line)
    return ctypes.CDLL(path)


def startup(database: str, *pairs: str, version: int = V3) -> bytes:
    """A startup packet."""
    body = "".join(f"{part}\0" for part in ("user", "agent", "database", database, *pairs)).encode() + b"\0"
    return struct.pack(">II", len(body) + 8, version) + body


def received(peer: socket.socket) -> bytes:
    """What comes until the other side closes."""
    seen = b""
    with contextlib.suppress(ConnectionResetError):
        while data := peer.recv(65536):
            seen += data
    return seen


@pytest.fixture(scope="module")
def trust(gateway: Gateway) -> ssl.SSLContext:
    """A careful client's context, which names the protocol."""
    context = ssl.create_default_context(cafile=gateway.data / "tls" / "server.crt")
    context.set_alpn_protocols(["postgresql"])
    return context


# versions


@pytest.mark.parametrize(
    ("options", "version", "length"),
    [
        ("", 30000, 4),
        ("max_protocol_version=latest", 30002, 32),
        ("min_protocol_version=3.2 max_protocol_version=3.2", 30002, 32),
    ],
)
def test_libpq_18_versions(gateway: Gateway, options: str, version: int, length: int) -> None:
    """libpq 18 gets the version it asks for; a cancel with a key of either length reaches the statement."""
    with psycopg.connect(f"{gateway.dsn(gateway.token())} {options}", autocommit=True) as agent:
        spoken = libpq().PQfullProtocolVersion
        spoken.argtypes, spoken.restype = [ctypes.c_void_p], ctypes.c_int
        assert spoken(agent.pgconn.pgconn_ptr) == version
        agent.execute("select 1")
        with pytest.raises(psycopg.errors.QueryCanceled), cancelling(gateway, agent):
            agent.execute("select pg_sleep(30)")
        assert agent.execute("select 1").fetchone() == (1,)
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        token = gateway.token().encode() + b"\0"
        peer.sendall(startup("shop", version=V3 + version % 10) + b"p" + struct.pack(">I", len(token) + 4) + token)
        seen = b""
        while not seen.endswith(b"Z\0\0\0\5I"):
            seen += peer.recv(65536)
        assert b"K" + struct.pack(">I", 8 + length) in seen


@contextlib.contextmanager
def cancelling(gateway: Gateway, agent: psycopg.Connection[Any]) -> Iterator[None]:
    """Cancel as soon as the gateway lists a busy session, and again until the block has ended."""
    over = threading.Event()

    def cancel() -> None:
        while not over.wait(0.05):
            agent.cancel_safe(timeout=5)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_cancels_kill_nothing_else(gateway: Gateway) -> None:
    """Cancels rain on a session whose statements end at once: only a statement that was under way is ever hit."""
    with psycopg.connect(f"{gateway.dsn(gateway.token())} max_protocol_version=latest", autocommit=True) as agent:
        with cancelling(gateway, agent):
            for number in range(300):
                with contextlib.suppress(psycopg.errors.QueryCanceled):
                    assert agent.execute("select %s::int", [number]).fetchone() == (number,)
        for number in range(20):
            assert agent.execute("select %s::int", [number]).fetchone() == (number,)


def test_wrong_keys_are_counted(gateway: Gateway) -> None:
    """A wrong key has no answer, and the log counts it."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        peer.sendall(struct.pack(">IIII", 16, 80877102, 12345, 67890))
        assert received(peer) == b""
    leaves = gateway.call("GET", "audit/leaves?kind=auth.fail", "alice")["items"]
    assert any(leaf["code"] == "cancel.key" for leaf in leaves)


# encryption


def test_direct_tls(gateway: Gateway) -> None:
    """libpq 18 begins TLS without asking, and verifies the gateway."""
    where = f"host=localhost hostaddr=127.0.0.1 sslnegotiation=direct sslrootcert={gateway.data}/tls/server.crt"
    with psycopg.connect(f"{gateway.dsn(gateway.token(), sslmode='verify-full')} {where}") as agent:
        assert agent.execute("select 1").fetchone() == (1,)
        assert agent.pgconn.ssl_in_use


def test_direct_tls_in_pieces(gateway: Gateway, trust: ssl.SSLContext) -> None:
    """A handshake that arrives byte by byte is the same handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    peer.sendall(bytes([byte]))
                incoming.write(peer.recv(65536))
        tls.write(startup("shop"))
        peer.sendall(outgoing.read())
        while True:
            try:
                assert tls.read(9) == b"R\0\0\0\x08\0\0\0\3"
                break
            except ssl.SSLWantReadError:
                incoming.write(peer.recv(65536))


@pytest.mark.parametrize("named", [[], ["http/1.1"]])
def test_direct_tls_must_name_the_protocol(gateway: Gateway, named: list[str]) -> None:
    """Without ALPN, or with another protocol's, a direct TLS connection is refused."""
    context = ssl.create_default_context(cafile=gateway.data / "tls" / "server.crt")
    if named:
        context.set_alpn_protocols(named)
    with (
        socket.create_connection(("127.0.0.1", gateway.port), 10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as peer,
    ):
        peer.sendall(startup("shop"))
        assert b"must name the protocol" in received(peer)


def test_encryption_in_every_order(gateway: Gateway, trust: ssl.SSLContext) -> None:
    """GSSAPI encryption is declined once, TLS is then given; a startup packet inside finds its resource."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as raw:
        raw.sendall(struct.pack(">II", 8, 80877104))
        assert raw.recv(1) == b"N"
        raw.sendall(ENCRYPT)
        assert raw.recv(1) == b"S"
        with trust.wrap_socket(raw, server_hostname="localhost") as peer:
            peer.sendall(startup("shop"))
            assert peer.recv(9) == b"R\0\0\0\x08\0\0\0\3"


def test_plaintext_before_tls(gateway: Gateway) -> None:
    """Bytes pushed in behind a request for TLS end the connection (CVE-2021-23222)."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        peer.sendall(ENCRYPT + startup("shop"))
        assert b"before the TLS handshake" in received(peer)


# the upstream's side


@pytest.fixture(scope="module")
def secure(postgres_tls: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose upstream is verified, reached by direct TLS and logged in to with channel binding."""
    assert postgres_tls.tls is not None
    upstream = shop(postgres_tls, "shop_secure")
    upstream.tls, upstream.ca = "verify-full", f"{postgres_tls.tls.authority}\n    direct_tls: true"
    gateway = Gateway(tmp_path_factory.mktemp("secure") / "gw", upstream)
    gateway.start().people()
    yield gateway
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def test_tls_upstream(secure: Gateway) -> None:
    """Through TLS upstream statements run, and cancels, which take the same way, arrive."""
    with psycopg.connect(secure.dsn(secure.token()), autocommit=True) as agent:
        assert agent.execute("select count(*) from orders").fetchone() == (1000,)
        with pytest.raises(psycopg.errors.QueryCanceled), cancelling(secure, agent):
            agent.execute("select pg_sleep(30)")


# certificates


def certified(gateway: Gateway, directory: Path, ttl: int = 900) -> tuple[Path, Path]:
    """A client certificate and its key, made by the command line."""
    certificate, key = directory / "agent.crt", directory / "agent.key"
    home = directory / "home"
    home.mkdir(exist_ok=True)
    login = {"gateway": gateway.url, "token": gateway.logins["alice"], "name": "alice", "expires": 2**31}
    (home / "credentials.json").write_text(json.dumps(login))
    (home / "credentials.json").chmod(0o600)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tidegate", "token", "create", "--agent", "claude-code", "--resource", "shop"),
            *("--ttl", f"{ttl}s", "--certificate", str(certificate), "--key", str(key)),
        ],
        env={**os.environ, "TIDEGATE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert certificate.stat().st_mode & 0o077 == key.stat().st_mode & 0o077 == 0
    return certificate, key


def conninfo(gateway: Gateway, pair: tuple[Path, Path]) -> str:
    """A libpq connection string with a certificate and without a password."""
    return (
        f"host=localhost hostaddr=127.0.0.1 port={gateway.port} dbname=shop user=agent sslmode=verify-full "
        f"sslrootcert={gateway.data}/tls/server.crt sslcert={pair[0]} sslkey={pair[1]}"
    )


def test_psql_with_a_certificate(gateway: Gateway, postgres_debian: Postgres, tmp_path: Path) -> None:
    """psql with a certificate is let in without a password."""
    done = subprocess.run(
        [postgres_debian.tools / "psql", "-XAtw", "-c", "select 1", conninfo(gateway, certified(gateway, tmp_path))],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1\n", done.stderr


def test_drivers_with_a_certificate(gateway: Gateway, trust: ssl.SSLContext, tmp_path: Path) -> None:
    """libpq 18 over direct TLS and asyncpg are let in too; the session is the agent's."""
    pair = certified(gateway, tmp_path)
    with psycopg.connect(conninfo(gateway, pair) + " sslnegotiation=direct") as agent:
        assert agent.execute("select 1").fetchone() == (1,)
        titles = [one["title"] for one in gateway.call("GET", "sessions", "alice")["items"]]
        assert "alice -> claude-code" in titles

    async def story() -> int:
        context = ssl.create_default_context(cafile=gateway.data / "tls" / "server.crt")
        context.load_cert_chain(*pair)
        where = {"host": "localhost", "port": gateway.port, "user": "agent", "database": "shop"}
        agent = await asyncpg.connect(ssl=context, **where)
        try:
            return int(await agent.fetchval("select 1"))
        finally:
            await agent.close()

    assert asyncio.run(story()) == 1


def test_a_certificate_ends_as_its_token_would(gateway: Gateway, tmp_path: Path) -> None:
    """Revoked by its token's id, it opens nothing and its open session ends; for another resource it never did."""
    pair = certified(gateway, tmp_path)
    with psycopg.connect(conninfo(gateway, pair), autocommit=True) as agent:
        agent.execute("select 1")
        newest = gateway.call("GET", "tokens", "alice")["items"][0]["id"]
        gateway.call("DELETE", f"tokens/{newest}", "alice")
        with pytest.raises(psycopg.OperationalError):
            while True:
                agent.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="revoked"):
        psycopg.connect(conninfo(gateway, pair))
    with pytest.raises(psycopg.OperationalError, match="something else"):
        psycopg.connect(conninfo(gateway, certified(gateway, tmp_path)).replace("dbname=shop", "dbname=other"))


def test_an_expired_certificate(gateway: Gateway, tmp_path: Path) -> None:
    """Its life is the token's, and past it the handshake fails."""
    pair = certified(gateway, tmp_path, ttl=10)
    time.sleep(11)
    with pytest.raises(psycopg.OperationalError, match=r"(?i)expired|closed|SSL"):
        psycopg.connect(conninfo(gateway, pair))


def test_a_certificate_of_another_authority(gateway: Gateway, tmp_path: Path) -> None:
    """Whoever presents another authority's certificate is refused in the handshake, whatever token they have."""
    other = certificates.issue(tmp_path)
    with pytest.raises(psycopg.OperationalError, match=r"(?i)ssl|closed"):
        psycopg.connect(conninfo(gateway, (other.certificate, other.key)), password=gateway.token())


# OAUTHBEARER


class Bearer(ctypes.Structure):
    """libpq's PGoauthBearerRequest."""

    _fields_ = (
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("fetch", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    )


@contextlib.contextmanager
def presenting(token: str) -> Iterator[str]:
    """Let libpq 18 present this token where a server asks for OAUTHBEARER; gives the options that it needs."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    kept = token.encode()

    def present(what: int, connection: int, data: int) -> int:
        if what != 1:  # PQAUTHDATA_OAUTH_BEARER_TOKEN
            return 0
        ctypes.cast(data, ctypes.POINTER(Bearer)).contents.token = kept
        return 1

    hook, library = kind(present), libpq()
    library.PQsetAuthDataHook(hook)
    try:
        issuer = "https://id.example.org/.well-known/openid-configuration"
        yield f"oauth_issuer={issuer} oauth_client_id=agent require_auth=oauth options='-c tidegate.auth=oauth'"
    finally:
        library.PQsetAuthDataHook(None)


def test_libpq_18_oauth(gateway: Gateway) -> None:
    """libpq 18 that insists on OAuth presents its token as OAUTHBEARER and is let in."""
    where = f"host=127.0.0.1 port={gateway.port} dbname=shop user=agent"
    with presenting(gateway.token()) as options, psycopg.connect(f"{where} {options}") as agent:
        assert agent.execute("select 1").fetchone() == (1,)
    with presenting("not.a.token") as options, pytest.raises(psycopg.OperationalError, match="not a token"):
        psycopg.connect(f"{where} {options}")


def test_oauth_by_hand(gateway: Gateway) -> None:
    """A token that does not do is declined in the mechanism's own form, then with the protocol's error."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as peer:
        peer.sendall(startup("shop", "options", "-c tidegate.auth=oauth"))
        assert peer.recv(65536) == b"R" + struct.pack(">II", 21, 10) + b"OAUTHBEARER\0\0"
        first = b"n,,\x01auth=\x01\x01"
        body = b"OAUTHBEARER\0" + struct.pack(">I", len(first)) + first
        peer.sendall(b"p" + struct.pack(">I", len(body) + 4) + body)
        answer = peer.recv(65536)
        assert json.loads(answer[9:]) == {"status": "invalid_token"}
        peer.sendall(b"p" + struct.pack(">I", 5) + b"\x01")
        assert b"C28P01\0" in received(peer)


# startup parameters


def test_search_path_of_the_server(gateway: Gateway) -> None:
    """A search path is accepted when it is the one that sessions have anyway, and no other."""
    for same in ("public", '"$user",public'):
        with psycopg.connect(gateway.dsn(gateway.token()), options=f"-c search_path={same}") as agent:
            assert agent.execute("show search_path").fetchone() == ('"$user", public',)
    for other in ("pg_temp,public", "evil", "public,pg_catalog"):
        with pytest.raises(psycopg.OperationalError, match="search_path is not accepted"):
            psycopg.connect(gateway.dsn(gateway.token()), options=f"-c search_path={other}")


def test_statement_timeout_only_shortens(gateway: Gateway) -> None:
    """An agent may want less time for its statements, never more than the gateway's limit."""
    for asked, given in (("1500", "1500ms"), ("999999999", "5min"), ("0", "5min")):
        with psycopg.connect(gateway.dsn(gateway.token()), options=f"-c statement_timeout={asked}") as agent:
            assert agent.execute("show statement_timeout").fetchone() == (given,)


# replication


def test_replication_is_closed(gateway: Gateway) -> None:
    """Unless a resource says otherwise, a replication connection is refused with a reason."""
    for kind in ("database", "true", "on", "1"):
        with pytest.raises(psycopg.OperationalError, match="not open to replication"):
            psycopg.connect(f"{gateway.dsn(gateway.token())} replication={kind}")
    with psycopg.connect(f"{gateway.dsn(gateway.token())} replication=off") as agent:
        assert agent.execute("select 1").fetchone() == (1,)


def test_replication_where_a_resource_allows_it(tmp_path: Path) -> None:
    """Statements are judged there as anywhere, and a rule that names the unknown lets replication's own commands."""
    with Postgres("18", settings=["wal_level=logical"]) as server:
        upstream = shop(server, "shop_replicated")
        upstream.tls = "disable\n    replication: true"
        gateway = Gateway(tmp_path / "gw", upstream, policy=POLICY + UNKNOWN)
        gateway.start().people()
        for kind in ("database", "true"):
            with psycopg.connect(f"{gateway.dsn(gateway.token())} replication={kind}", autocommit=True) as agent:
                done = agent.pgconn.exec_(b"IDENTIFY_SYSTEM")
                assert done.status == pq.ExecStatus.TUPLES_OK, done.error_message
                assert b"refused by rule" in agent.pgconn.exec_(b"delete from orders").error_message
        assert gateway.stop() == 0
        assert gateway.verify() == 0


UNKNOWN = """
  - id: replication-commands
    may: [unknown]
    where: {secrets: true}
    then: allow
"""
