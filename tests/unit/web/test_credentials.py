"""Logging in by password, and one's own credentials, over HTTP."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pyotp
import pytest

from authenticator import Authenticator
from tidegate.identity.throttle import PAIR_FREE
from unit.web.world import BY_PASSWORD, PASSWORD, World, bearer

OTHER = "cobalt mitten 44 orchard"


def login(world: World, name: str, password: str = PASSWORD, otp: str = "", source: str = "192.0.2.1") -> Any:
    """What POST /login answers to who comes from ``source``, as a proxy before the gateway tells it."""
    body = {"name": name, "password": password, "otp": otp}
    return world.http.post("/login", json=body, headers={"X-Forwarded-For": source})


def call(world: World, method: str, path: str, by: str, **body: Any) -> Any:
    """A request as a person, with exactly this body."""
    return world.http.request(method, f"/me{path}", headers=bearer(world.login(by)), json=body)


def test_login(staffed: World) -> None:
    """Name and password give a login for twelve hours, and an event that says how."""
    answer = login(staffed, "alice")
    assert (answer.status_code, answer.json()["name"]) == (201, "alice")
    me = staffed.http.get("/me", headers=bearer(answer.json()["token"])).json()
    assert 0 < me["expires"] - me["now"] // 1_000_000 <= 12 * 3600
    leaf = staffed.leaves("auth.ok")[-1]
    assert (leaf["how"], leaf["sub"]) == ("password", me["subject"])


def test_wrong_logins_look_alike(staffed: World) -> None:
    """Nobody, and somebody with another password."""
    answers = [
        login(staffed, name, "wrong wrong wrong", source=f"192.0.2.{at}") for at, name in enumerate(("nobody", "eve"))
    ]
    assert answers[0].json() == answers[1].json()
    assert (answers[0].status_code, answers[0].json()["code"]) == (401, "auth.wrong")


def test_brute_force_is_slowed_alarms_and_locks_nobody_out(staffed: World) -> None:
    """429 with a time to wait for who guesses; from elsewhere alice gets in; it is an event."""
    answers = [login(staffed, "alice", f"wrong wrong {each}", source="203.0.113.9") for each in range(PAIR_FREE + 1)]
    assert [each.status_code for each in answers] == [401] * PAIR_FREE + [429]
    assert int(answers[-1].headers["Retry-After"]) == answers[-1].json()["retry_after"] >= 1
    assert login(staffed, "alice", source="203.0.113.9").status_code == 429
    assert login(staffed, "bob", source="203.0.113.9").status_code == 201
    assert login(staffed, "alice", source="198.51.100.4").status_code == 201
    leaf = staffed.leaves("auth.slowed")[-1]
    assert (leaf["by"], "203.0.113.9" in str(leaf), "alice" in str(leaf)) == ("identity", False, False)


def test_weak_password_leaves_the_code(staffed: World) -> None:
    """A password that is refused does not use the code up; the right one then does."""
    code = staffed.post("/people", "root", {"name": "dora"}).json()["code"]
    for weak in ("short", "password1234", "dora-dora-2026"):
        answer = staffed.http.post("/enrol", json={"code": code, "password": weak})
        assert (answer.status_code, answer.json()["code"]) == (400, "password.weak")
    assert staffed.http.post("/enrol", json={"code": code, "password": OTHER}).status_code == 201
    assert staffed.http.post("/enrol", json={"code": code, "password": OTHER}).json()["code"] == "code.invalid"
    assert login(staffed, "dora", OTHER).status_code == 201


def test_a_new_code_ends_the_old_password(staffed: World) -> None:
    """Whoever has lost theirs starts over."""
    staffed.login("frank")
    code = staffed.post("/people/frank/code", "root").json()["code"]
    assert staffed.http.post("/enrol", json={"code": code, "password": OTHER}).status_code == 201
    assert login(staffed, "frank").status_code == 401
    assert login(staffed, "frank", OTHER).status_code == 201


def test_one_time_passwords(staffed: World) -> None:
    """Begin, confirm with a proof, and from then on both are needed to log in."""
    staffed.login("gina")
    begun = call(staffed, "POST", "/credentials/totp", "gina").json()
    made = pyotp.parse_uri(begun["url"])
    now = staffed.clock.now() // 1_000_000
    otp = made.at(now - 30)
    path = f"/credentials/totp/{begun['id']}"
    assert call(staffed, "POST", path, "gina", otp=otp).json()["code"] == "stepup.required"
    assert call(staffed, "POST", path, "gina", otp=otp, label="phone", proof=BY_PASSWORD).json()["method"] == "totp"
    found = staffed.http.get("/me/credentials", headers=bearer(staffed.login("gina"))).json()
    assert ([row["label"] for row in found["items"]], found["otp"]) == (["", "phone"], True)
    assert login(staffed, "gina").json() == login(staffed, "gina", OTHER).json()
    assert login(staffed, "gina", otp=made.at(now)).status_code == 201


def test_ssh_key(staffed: World, tmp_path: Path) -> None:
    """Added by its public half with a proof, then it proves; removed, it does not."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", tmp_path / "key"], check=True)
    line = (tmp_path / "key.pub").read_text()
    assert call(staffed, "POST", "/credentials/ssh", "eve", key="nonsense").json()["code"] == "request.key"
    assert call(staffed, "POST", "/credentials/ssh", "eve", key=line).json()["code"] == "stepup.required"
    added = call(staffed, "POST", "/credentials/ssh", "eve", key=line, proof=BY_PASSWORD).json()
    assert added["label"] == "laptop"
    asked = call(staffed, "DELETE", f"/credentials/{added['id']}", "eve").json()
    assert asked["methods"] == ["password", "ssh"]
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", asked["namespace"], "-f", tmp_path / "key"]
    signature = subprocess.run(command, input=asked["sign"], capture_output=True, text=True, check=True).stdout
    proof = {"method": "ssh", "challenge": asked["challenge"], "signature": signature}
    assert call(staffed, "DELETE", f"/credentials/{added['id']}", "eve", proof=proof).status_code == 204
    assert call(staffed, "DELETE", f"/credentials/{added['id']}", "eve").json()["code"] == "credential.unknown"


def test_passkey(staffed: World) -> None:
    """Made and used with what the API gives a browser."""
    device = Authenticator()
    begun = call(staffed, "POST", "/credentials/passkey", "bob").json()
    path, made = f"/credentials/passkey/{begun['id']}", device.create(begun["options"])
    assert call(staffed, "POST", path, "bob", credential="{}", proof=BY_PASSWORD).json()["code"] == "credential.wrong"
    assert call(staffed, "POST", path, "bob", credential=made, proof=BY_PASSWORD).status_code == 201
    challenge = call(staffed, "POST", "/password", "bob", password=OTHER).json()["challenge"]
    shown = staffed.http.get(f"/me/challenges/{challenge}", headers=bearer(staffed.login("bob"))).json()
    assert (shown["action"], shown["done"]) == ("change your password", False)
    proof = {"method": "passkey", "challenge": challenge, "credential": device.get(shown["options"])}
    assert call(staffed, "POST", "/password", "bob", password=OTHER, proof=proof).status_code == 204
    assert login(staffed, "bob", OTHER).status_code == 201


def test_challenges_are_ones_own(staffed: World) -> None:
    """Nobody sees what another is asked."""
    challenge = call(staffed, "POST", "/password", "alice", password=OTHER).json()["challenge"]
    for by, status in (("eve", 404), ("alice", 200)):
        answer = staffed.http.get(f"/me/challenges/{challenge}", headers=bearer(staffed.login(by)))
        assert answer.status_code == status


@pytest.mark.parametrize("path", ["/credentials/totp", "/credentials/ssh", "/password"])
def test_nobody_without_a_login(staffed: World, path: str) -> None:
    """Everything here is of who calls."""
    assert staffed.http.post(f"/me{path}", json={}).status_code == 401
    assert staffed.http.get("/me/credentials").status_code == 401
