"""People without a provider, at a real gateway: over restarts, with hand-made changes, and under attack."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pyotp
import pytest

from gateway import PASSWORD, Gateway, Upstream
from servers import Postgres
from tidegate.audit.entry import encode
from tidegate.audit.verify import verify
from tidegate.cli.demo.forgery import Forgery, live_key

from .conftest import shop

OTHER = "cobalt mitten 44 orchard"


@pytest.fixture
def gateway(postgres: Postgres, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of its own with alice and bob; its log must verify in the end."""
    if not postgres.psql("select 1 from pg_database where datname = 'shop_people'").strip():
        shop(postgres, "shop_people")
    up = Upstream("127.0.0.1", postgres.port, "shop_people", postgres.user, postgres.password)
    found = Gateway(tmp_path / "gw", up).start().people()
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


def ask(gateway: Gateway, method: str, path: str, by: str = "", **body: Any) -> httpx2.Response:
    """A request exactly as it stands."""
    headers = {"authorization": f"Bearer {gateway.logins[by]}"} if by else {}
    return httpx2.request(method, f"{gateway.url}/api/v1/{path}", json=body, headers=headers, timeout=60)


def login(gateway: Gateway, name: str, password: str = PASSWORD, otp: str = "") -> httpx2.Response:
    """Log in by password."""
    return ask(gateway, "POST", "login", name=name, password=password, otp=otp)


def key_of(gateway: Gateway, by: str, directory: Path) -> Path:
    """An ssh key, enrolled."""
    key = directory / f"{by}.key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    proof = {"method": "password", "password": PASSWORD}
    added = ask(gateway, "POST", "me/credentials/ssh", by, key=key.with_suffix(".key.pub").read_text(), proof=proof)
    assert added.status_code == 201, added.text
    return key


def signed(key: Path, asked: Any) -> dict[str, str]:
    """The proof that a key makes."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", asked["namespace"], "-f", key]
    done = subprocess.run(command, input=asked["sign"], capture_output=True, text=True, check=True)
    return {"method": "ssh", "challenge": asked["challenge"], "signature": done.stdout}


def test_a_person_opens_a_resource_by_their_key(gateway: Gateway, tmp_path: Path) -> None:
    """A signature gives a token of one's own, with which a client connects; the log with it verifies."""
    key = key_of(gateway, "alice", tmp_path)
    asked = ask(gateway, "POST", "tokens", "alice", resource="shop")
    assert asked.status_code == 401
    token = ask(gateway, "POST", "tokens", "alice", resource="shop", proof=signed(key, asked.json())).json()["token"]
    with psycopg.connect(gateway.dsn(token)) as person:
        assert person.execute("select count(*) from orders").fetchone() == (1000,)


def test_an_approval_signed_by_a_key(gateway: Gateway, tmp_path: Path) -> None:
    """bob's yes carries his signature, and a signature for another request does not count."""
    key = key_of(gateway, "bob", tmp_path)
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(agent.execute, "update orders set total = 0")
        held: list[Any] = []
        while not held:
            held = ask(gateway, "GET", "approvals", "bob").json()["items"]
            time.sleep(0.05)
        path = f"approvals/{held[0]['id']}"
        other = ask(gateway, "POST", "tokens", "bob", resource="shop").json()
        assert ask(gateway, "POST", f"{path}/approve", "bob", proof=signed(key, other)).status_code == 401
        asked = ask(gateway, "POST", f"{path}/approve", "bob").json()
        assert ask(gateway, "POST", f"{path}/approve", "bob", proof=signed(key, asked)).status_code == 200
        assert waiting.result(30).rowcount == 1000


def test_a_signature_exchanged_in_the_log_is_found(gateway: Gateway, tmp_path: Path) -> None:
    """Not even who has the gateway's own key can put another yes in its place."""
    test_an_approval_signed_by_a_key(gateway, tmp_path)
    other = ask(gateway, "POST", "tokens", "bob", resource="shop").json()
    forged = signed(tmp_path / "bob.key", other)["signature"]
    assert gateway.stop() == 0
    report = verify(gateway.data)
    assert report.status == 0
    assert any("1 yes signed, 0 not" in check.sentence for check in report.checks)
    copy = Forgery(gateway.data, tmp_path / "copy", live_key(gateway.data))
    index = copy.find(lambda leaf: leaf["k"] == "approval.granted")
    leaves = copy.leaves()
    yes = json.loads(leaves[index])
    for change in (
        {"sig": base64.b64encode(forged.encode()).decode()},
        {"sig": base64.b64encode(forged.encode()).decode(), "sgd": base64.b64encode(other["sign"].encode()).decode()},
        {"key": "c_another"},
        {"by": json.loads(leaves[copy.find(lambda leaf: leaf["k"] == "identity.bound")])["sub"]},
    ):
        copy.publish([*leaves[:index], encode({**yes, **change}), *leaves[index + 1 :]])
        report = verify(copy.directory)
        assert report.status == 1
        assert {each.check for each in report.findings} <= {"approvals", "verdicts"}
        assert index in {each.index for each in report.findings}
    copy.publish(leaves)
    assert verify(copy.directory).status == 0
    gateway.start()


def test_credentials_survive_a_restart_and_hand_made_changes_open_nothing(gateway: Gateway) -> None:
    """One-time passwords stay demanded after a restart, also when somebody takes their row out of the store."""
    begun = ask(gateway, "POST", "me/credentials/totp", "bob").json()
    device, now = pyotp.TOTP(begun["secret"]), int(time.time())
    proof = {"method": "password", "password": PASSWORD}
    path = f"me/credentials/totp/{begun['id']}"
    assert ask(gateway, "POST", path, "bob", otp=device.at(now - 30), proof=proof).status_code == 201
    gateway.stop()
    gateway.start()
    assert login(gateway, "bob").status_code == 401
    assert login(gateway, "bob", otp=device.at(now - 30)).status_code == 401
    assert login(gateway, "bob", otp=device.now()).status_code == 201
    gateway.stop()
    with sqlite3.connect(gateway.data / "store.sqlite") as store:
        store.execute("delete from credentials where method = 'totp'")
    gateway.start()
    assert login(gateway, "bob").status_code >= 400
    assert login(gateway, "alice").status_code == 201


def test_an_old_password_put_back_by_hand(gateway: Gateway) -> None:
    """Its row, signature and all, proves nothing after a restart: the log says that it ended."""
    with sqlite3.connect(gateway.data / "store.sqlite") as store:
        old = store.execute("select * from credentials where method = 'password'").fetchall()
    proof = {"method": "password", "password": PASSWORD}
    assert ask(gateway, "POST", "me/password", "bob", password=OTHER, proof=proof).status_code == 204
    gateway.stop()
    with sqlite3.connect(gateway.data / "store.sqlite") as store:
        store.executemany(f"replace into credentials values ({','.join('?' * len(old[0]))})", old)
    gateway.start()
    assert login(gateway, "bob", PASSWORD).status_code == 401
    assert login(gateway, "bob", OTHER).status_code == 201


def test_a_flood_of_guesses_keeps_nobody_out(gateway: Gateway) -> None:
    """Hundreds of wrong logins for bob, spoofed addresses and all: alice gets in, and so does bob with his key."""

    def guess(each: int) -> int:
        body = {"name": "bob", "password": f"wrong wrong {each}"}
        headers = {"X-Forwarded-For": f"192.0.2.{each % 250}"}
        return httpx2.post(f"{gateway.url}/api/v1/login", json=body, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(200)))
    assert set(answers) == {401, 429}
    assert answers.count(401) < 20, "addresses that anybody can write do not help"
    assert login(gateway, "alice").status_code == 201
    assert ask(gateway, "GET", "me", "bob").status_code == 200


def test_wrong_tokens_at_the_door_keep_nobody_out(gateway: Gateway) -> None:
    """After many wrong ones the answer comes late; a right one is let in at once, from the same place."""

    def wrong(_: int) -> str:
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(gateway.dsn("nonsense"), connect_timeout=30)
        return str(caught.value)

    with ThreadPoolExecutor(16) as pool:
        said = set(pool.map(wrong, range(60)))
        token = gateway.token()
        with psycopg.connect(gateway.dsn(token)) as agent:
            assert agent.execute("select 1").fetchone() == (1,)
    assert len(said) == 1 or all("FATAL" in each for each in said)


def test_no_secret_is_written_anywhere(gateway: Gateway) -> None:
    """Neither passwords nor their hashes nor secrets of devices are in a file of the gateway or in what it prints."""
    begun = ask(gateway, "POST", "me/credentials/totp", "bob").json()
    proof = {"method": "password", "password": PASSWORD}
    otp = pyotp.TOTP(begun["secret"]).now()
    assert ask(gateway, "POST", f"me/credentials/totp/{begun['id']}", "bob", otp=otp, proof=proof).status_code == 201
    login(gateway, "bob", "a very wrong one 7")
    gateway.stop()
    raw = b"".join(path.read_bytes() for path in gateway.directory.rglob("*") if path.is_file())
    for secret in (PASSWORD, "a very wrong one 7", begun["secret"], "$argon2id$"):
        assert secret.encode() not in raw
    gateway.start()
