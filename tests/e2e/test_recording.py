"""The recording of a session: every byte, both ways, opened by those who may and by nobody else."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pyrage
import pytest

from gateway import Gateway
from servers import Postgres
from tidegate.audit.seal import open_vault
from tidegate.recording.reader import read

from .conftest import TAGS, shop


@pytest.fixture(scope="module")
def recorded(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> tuple[Gateway, str, str]:
    """A gateway that has ended, the id of the one session it served, and the token that opened it."""
    gateway = Gateway(tmp_path_factory.mktemp("rec") / "gw", shop(postgres, "shop_rec"), tags=TAGS)
    gateway.start().people()
    token = gateway.token()
    with psycopg.connect(gateway.dsn(token), autocommit=True) as agent:
        agent.execute("select id, email, city from customers where id < 3", prepare=False)
        agent.execute("insert into log values (%s)", ["a recorded parameter"])
        with pytest.raises(psycopg.Error):
            agent.execute("drop table orders")
    sid = gateway.call("GET", "sessions", "alice")["items"][0]["sid"]
    gateway.stop()
    return gateway, sid, token


def track(gateway: Gateway, sid: str, name: str, identity: str) -> dict[int, bytes]:
    """The bytes of one track by direction, opened with an age identity."""
    paths = {each: next((gateway.home(sid) / "rec").rglob(f"{sid}.{each}.gwrec")) for each in ("agent", "upstream")}
    vault = open_vault(gateway.home(sid), sid, identity)
    agent = (paths["agent"], vault.frame_key("agent")) if name == "upstream" else None
    found: dict[int, bytes] = {}
    for record in read(paths[name], vault.frame_key(name), agent=agent):
        found[record.direction] = found.get(record.direction, b"") + record.payload
    return found


def replay_key(gateway: Gateway) -> str:
    """The gateway's own key: it opens what agents saw."""
    return (gateway.data / "keys" / "replay.age").read_text().strip()


def test_what_the_agent_sent_and_saw(recorded: tuple[Gateway, str, str]) -> None:
    """The agent's track holds the statements, the parameter, the masked rows and the refusal, and no clear value."""
    gateway, sid, _ = recorded
    found = track(gateway, sid, "agent", replay_key(gateway))
    assert b"select id, email, city from customers" in found[0] and b"a recorded parameter" in found[0]
    assert b"drop table orders" in found[0] and b"no-destruction" in found[3]
    assert b"[masked:email " in found[3] and b"@mail.example" not in found[3]


def test_only_the_auditor_opens_the_other_side(recorded: tuple[Gateway, str, str]) -> None:
    """What the upstream really sent is closed to the gateway's own key and open to the auditor's."""
    gateway, sid, _ = recorded
    with pytest.raises(Exception, match="does not open the upstream track"):
        track(gateway, sid, "upstream", replay_key(gateway))
    found = track(gateway, sid, "upstream", (gateway.directory / "auditor.key").read_text())
    assert b"person1@mail.example" in found[2] and b"drop table" not in found[1]


def test_no_credential_on_disk(recorded: tuple[Gateway, str, str]) -> None:
    """Neither the agent's token nor the upstream's password nor a clear value is anywhere below the data directory."""
    gateway, _, token = recorded
    wanted = [token.encode(), gateway.upstream.password.encode(), b"person1@mail.example", b"a recorded parameter"]
    pattern = re.compile(b"|".join(map(re.escape, wanted)))
    files = [path for path in [*gateway.data.rglob("*"), gateway.directory / "gateway.log"] if Path(path).is_file()]
    assert len(files) > 10
    assert [path.name for path in files if pattern.search(path.read_bytes())] == []


def test_the_age_key_is_what_it_says(recorded: tuple[Gateway, str, str]) -> None:
    """The configured recipient is the auditor's; the gateway's key is another one."""
    gateway, _, _ = recorded
    auditor = pyrage.x25519.Identity.from_str((gateway.directory / "auditor.key").read_text())
    assert str(auditor.to_public()) in (gateway.directory / "tidegate.yaml").read_text()
    assert str(auditor) != replay_key(gateway)
