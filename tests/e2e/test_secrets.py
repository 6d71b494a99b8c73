"""Upstream credentials by reference, before real servers: rotated, lent, taken away, lost, and never seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from gateway import Gateway, Upstream
from servers import Postgres
from vault import FIXED, Bao

from .conftest import shop

FIRST, SECOND = "first-password-0f3a", "second-password-9b1c"


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    """A Vault of this module's."""
    with Bao() as started:
        yield started


@pytest.fixture
def own_bao() -> Iterator[Bao]:
    """A Vault that a test may kill."""
    with Bao() as started:
        yield started


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Gateways that are stopped at the end, and whose logs must hold."""
    started: list[Gateway] = []

    def build(upstream: Upstream, **words: object) -> Gateway:
        gateway = Gateway(tmp_path / "gw", upstream, **words)  # type: ignore[arg-type]
        started.append(gateway.start().people())
        return gateway

    yield build
    for gateway in started:
        assert gateway.stop() == 0, gateway.output
        assert gateway.verify() == 0


def vault(bao: Bao, directory: Path, **lives: str) -> str:
    """The section ``vault``, with an AppRole whose secret id is in a file."""
    words = bao.approle(**lives)
    for name, value in words.items():
        path = directory / name
        path.write_text(value)
        path.chmod(0o600)
    auth = ", ".join(f"{name}: 'file:{directory / name}'" for name in words)
    return f"vault: {{address: {bao.address}, auth: {{method: approle, {auth}}}}}\n"


def account(server: Postgres, database: str, password: str) -> Upstream:
    """A shop, and an account of its own for the gateway."""
    upstream = shop(server, database)
    name = f"gw_{database}"
    grants = f"grant select, insert, update, delete on all tables in schema public to {name}"
    server.psql(f"create role {name} login password '{password}'; {grants}", database)
    return Upstream(upstream.host, upstream.port, database, name)


def lent(server: Postgres, bao: Bao, database: str, **lives: str) -> Upstream:
    """A shop whose accounts Vault makes."""
    upstream = shop(server, database)
    bao.database(server, database=database, **lives)
    return Upstream(upstream.host, upstream.port, database, "", secret="vault:database/creds/shop")


def connect(gateway: Gateway) -> psycopg.Connection[tuple[object, ...]]:
    """The agent's connection."""
    return psycopg.connect(gateway.dsn(gateway.token()), autocommit=True, connect_timeout=20)


def asked(gateway: Gateway, text: str = "select 1") -> object:
    """What one statement of a fresh connection gives."""
    with connect(gateway) as agent:
        row = agent.execute(text).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]


def eventually(holds: Callable[[], bool], patience: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.1)


def leaves(gateway: Gateway, kind: str) -> list[dict[str, object]]:
    """Leaves of a kind in all logs."""
    found = gateway.call("GET", f"audit/leaves?kind={kind}&limit=100", "alice")["items"]
    return list(found)


def unseen(gateway: Gateway, *values: str) -> None:
    """No value is in a file of the data directory, in what was printed, or in a command line of this machine."""
    needles = [value.encode() for value in values]
    files = [path for path in gateway.data.rglob("*") if path.is_file()]
    assert len(files) > 10
    lines = [path for path in Path("/proc").glob("[0-9]*/cmdline")]
    for path in [*files, gateway.directory / "gateway.log", gateway.directory / "tidegate.yaml", *lines]:
        try:
            data = path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        assert not [value for value in needles if value in data], path


def test_a_password_is_rotated_in_vault(
    postgres: Postgres, bao: Bao, running: Callable[..., Gateway], tmp_path: Path
) -> None:
    """The next connection logs in with the new one; the session before goes on and shows neither."""
    upstream = account(postgres, "rotated", FIRST)
    upstream.secret = "vault:secret/rotated#password"
    bao.put("rotated", password=FIRST)
    gateway = running(upstream, sections=vault(bao, tmp_path))
    with connect(gateway) as before:
        assert before.execute("select current_user").fetchone() == ("gw_rotated",)
        postgres.psql(f"alter role gw_rotated password '{SECOND}'")
        bao.put("rotated", password=SECOND)
        with connect(gateway) as after:
            assert after.execute("select 1").fetchone() == (1,)
            for agent in (before, after):
                shown = agent.execute(f"select '{FIRST}', upper('{SECOND}'), '{SECOND}'").fetchone()
                assert shown == ("x" * len(FIRST), SECOND.upper(), "x" * len(SECOND))
    bao.call("DELETE", "secret/data/rotated")
    with pytest.raises(psycopg.OperationalError, match=r"vault:secret/rotated#password.*cannot be had") as refused:
        connect(gateway)
    assert SECOND not in str(refused.value)
    unseen(gateway, SECOND, *(path.read_text() for path in (tmp_path / "secret_id",)))


def test_a_password_is_rotated_in_a_file(postgres: Postgres, running: Callable[..., Gateway], tmp_path: Path) -> None:
    """The file is read at each connection; one that everybody may read is refused."""
    secret = tmp_path / "password"
    secret.write_text(FIRST + "\n")
    secret.chmod(0o600)
    upstream = account(postgres, "in_a_file", FIRST)
    upstream.secret = f"file:{secret}"
    gateway = running(upstream)
    assert asked(gateway) == 1
    postgres.psql(f"alter role gw_in_a_file password '{SECOND}'")
    with pytest.raises(psycopg.OperationalError, match="refused the gateway"):
        connect(gateway)
    secret.write_text(SECOND)
    assert asked(gateway) == 1
    secret.chmod(0o644)
    with pytest.raises(psycopg.OperationalError, match="open to everybody"):
        connect(gateway)


def test_vault_makes_an_account(postgres: Postgres, bao: Bao, running: Callable[..., Gateway], tmp_path: Path) -> None:
    """Sessions share an account of their own making, its password is never shown, and it is gone afterwards."""
    gateway = running(lent(postgres, bao, "lent"), sections=vault(bao, tmp_path))
    with connect(gateway) as one, connect(gateway) as other:
        (user,) = one.execute("select session_user").fetchone() or ("",)
        assert str(user).startswith("v-approle-shop-")
        assert one.execute(f"select '{FIXED}'").fetchone() == ("x" * 24,)
        assert one.execute("update orders set total = total where id = 1").rowcount == 1
        if gateway.workers == 1:
            assert other.execute("select session_user").fetchone() == (user,)
            assert len(bao.leases()) == 1
    eventually(lambda: not bao.leases() and not postgres.psql(f"select 1 from pg_roles where rolname = '{user}'"))
    assert {leaf["user"] for leaf in leaves(gateway, "account.leased")} >= {user}
    eventually(lambda: len(leaves(gateway, "account.returned")) == len(leaves(gateway, "account.leased")))
    unseen(gateway, FIXED)


def test_a_dropped_account_is_made_anew(
    postgres: Postgres, bao: Bao, running: Callable[..., Gateway], tmp_path: Path
) -> None:
    """The upstream refuses what Vault still holds for good: the connection gets another account."""
    gateway = running(lent(postgres, bao, "dropped"), sections=vault(bao, tmp_path))
    with connect(gateway) as agent:
        (user,) = agent.execute("select session_user").fetchone() or ("",)
    postgres.psql(f'alter role "{user}" nologin')
    assert asked(gateway, "select session_user") != user


def test_an_account_is_renewed_and_ends(
    postgres: Postgres, bao: Bao, running: Callable[..., Gateway], tmp_path: Path
) -> None:
    """A session outlives the lease's first span, not its longest; the next one gets a fresh account at once."""
    gateway = running(lent(postgres, bao, "renewed", ttl="4s", top="15s"), sections=vault(bao, tmp_path))
    with connect(gateway) as agent:
        first = time.monotonic()
        (user,) = agent.execute("select session_user").fetchone() or ("",)
        with pytest.raises(psycopg.OperationalError, match=r"has ended|closed the connection"):
            while time.monotonic() < first + 60:
                agent.execute("select 1")
                time.sleep(0.2)
        assert time.monotonic() - first > 5, "it was not renewed"
    assert asked(gateway, "select session_user") != user


def test_an_account_is_taken_away(
    postgres: Postgres, bao: Bao, running: Callable[..., Gateway], tmp_path: Path
) -> None:
    """Revoked at Vault, it ends the sessions that use it when it is next renewed."""
    gateway = running(lent(postgres, bao, "taken", ttl="6s"), sections=vault(bao, tmp_path))
    with connect(gateway) as agent:
        agent.execute("select 1")
        bao.call("POST", "sys/leases/revoke-prefix/database/creds/shop")
        with pytest.raises(psycopg.OperationalError, match=r"has ended|closed the connection"):
            for _ in range(300):
                agent.execute("select 1")
                time.sleep(0.1)


def test_vault_dies(postgres: Postgres, own_bao: Bao, running: Callable[..., Gateway], tmp_path: Path) -> None:
    """New connections are refused, by name of the reference; open sessions go on until their account's lease ends."""
    upstream = lent(postgres, own_bao, "vault_dies", ttl="12s")
    gateway = running(upstream, sections=vault(own_bao, tmp_path))
    with connect(gateway) as agent:
        agent.execute("select 1")
        own_bao.stop()
        with pytest.raises(psycopg.OperationalError, match=r"vault:database/creds/shop.*Vault does not answer"):
            connect(gateway)
        assert agent.execute("select 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match=r"has ended|closed the connection"):
            for _ in range(300):
                agent.execute("select 1")
                time.sleep(0.1)
    with pytest.raises(psycopg.OperationalError, match="Vault does not answer"):
        connect(gateway)


def test_the_gateways_token_ends(postgres: Postgres, bao: Bao, running: Callable[..., Gateway], tmp_path: Path) -> None:
    """A token that Vault has ended is replaced by another login; one that grows old takes no new account with it."""
    upstream = account(postgres, "token_ends", FIRST)
    upstream.secret = "vault:secret/token_ends#password"
    bao.put("token_ends", password=FIRST)
    gateway = running(upstream, sections=vault(bao, tmp_path, ttl="3s", top="6s"))
    end = time.monotonic() + 10
    while time.monotonic() < end:
        assert asked(gateway) == 1
        time.sleep(0.5)


def test_a_secret_of_the_gateways_own(postgres: Postgres, running: Callable[..., Gateway], tmp_path: Path) -> None:
    """Set by command from standard input, used at once, listed without its value, and gone when removed."""
    upstream = account(postgres, "kept", FIRST)
    upstream.secret = "store:kept"
    gateway = running(upstream)
    with pytest.raises(psycopg.OperationalError, match=r"store:kept.*is not there"):
        connect(gateway)
    for value in (FIRST, SECOND):
        postgres.psql(f"alter role gw_kept password '{value}'")
        gateway.call("PUT", "secrets/kept", "alice", value=value)
        assert asked(gateway) == 1
    (listed,) = gateway.call("GET", "secrets", "alice")["items"]
    assert (listed["name"], listed["by"], listed["resources"]) == ("kept", "alice", ["shop"])
    assert SECOND not in str(listed)
    gateway.call("DELETE", "secrets/kept", "alice")
    with pytest.raises(psycopg.OperationalError, match="is not there"):
        connect(gateway)
    assert len(leaves(gateway, "secret.changed")) == 3
    unseen(gateway, FIRST, SECOND)


def test_an_account_whose_password_vault_changes(
    postgres: Postgres, bao: Bao, running: Callable[..., Gateway], tmp_path: Path
) -> None:
    """User and password come from a static role; Vault rotates it by itself and the next connection follows."""
    upstream = account(postgres, "static", FIRST)
    bao.database(postgres, database="static")
    bao.call("POST", "database/static-roles/st", db_name="shop", username=upstream.user, rotation_period="24h")
    user, upstream.user, upstream.secret = upstream.user, "", "vault:database/static-creds/st"
    gateway = running(upstream, sections=vault(bao, tmp_path))
    assert asked(gateway, "select session_user") == user
    bao.call("POST", "database/rotate-role/st")
    assert asked(gateway, "select session_user") == user
