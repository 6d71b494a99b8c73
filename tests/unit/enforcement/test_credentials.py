"""Proofs: what holds, for whom, for what, and how often."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import bytes_to_base64url

from authenticator import Authenticator
from tidegate.errors import AgentError, Refused
from tidegate.identity.throttle import PAIR_FREE, SECOND_FREE
from tidegate.model.identity import Identity
from tidegate.model.proof import Proof, action
from unit.web.world import PASSWORD, World

APPROVE = action("approve", "ap_1", "digest")
OTHER = "cobalt mitten 44 orchard"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with alice and bob."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.login("alice", "staff")
        started.login("bob", "approvers")
        yield started


_count = 0


def somebody(world: World) -> Identity:
    """A fresh person with a password and nothing else."""
    global _count
    _count += 1
    name = f"person{_count}"
    world.login(name, "staff")
    who = world.call(lambda: world.access.chain(name))
    return who


def prove(world: World, who: Identity, about: bytes = APPROVE, peer: str = "192.0.2.1", **offered: str) -> Proof:
    """The proof that this offer makes."""
    return world.call(lambda: world.credentials.prove(who, about, offered, peer=peer))


def asked(world: World, who: Identity, about: bytes = APPROVE, **offered: str) -> Mapping[str, Any]:
    """What is asked for when nothing, or something wrong, is offered."""
    with pytest.raises(AgentError) as caught:
        prove(world, who, about, peer="198.51.100.9", **offered)
    assert caught.value.code == ("stepup.wrong" if offered else "stepup.required")
    return caught.value.details


def with_totp(world: World, who: Identity) -> pyotp.TOTP:
    """Enrol one-time passwords; gives what makes them. The step before this one is used up by it."""
    begun = world.call(lambda: world.enrolment.begin_totp(who))
    made = pyotp.TOTP(begun.secret)
    otp = made.at(world.clock.now() // 1_000_000 - 30)
    offered = {"method": "password", "password": PASSWORD}
    world.call(lambda: world.enrolment.finish_totp(who, begun.id, otp, "phone", offered))
    return made


def with_ssh(world: World, who: Identity, directory: Path) -> Path:
    """Enrol a key of the real ssh-keygen."""
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", key], check=True)
    line, offered = key.with_suffix(".pub").read_text(), {"method": "password", "password": PASSWORD}
    world.call(lambda: world.enrolment.add_ssh(who, line, "", offered))
    return key


def sign(key: Path, text: str) -> str:
    """As a person signs."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "tidegate", "-f", str(key)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def with_passkey(world: World, who: Identity) -> Authenticator:
    """Enrol a passkey."""
    device = Authenticator()
    begun = world.call(lambda: world.enrolment.begin_passkey(who))
    answer, offered = device.create(begun.options), {"method": "password", "password": PASSWORD}
    world.call(lambda: world.enrolment.finish_passkey(who, begun.id, answer, "phone", offered))
    return device


def get(world: World, who: Identity, device: Authenticator, challenge: str) -> str:
    """As a browser answers a challenge."""
    bytes = world.call(lambda: world.credentials.challenge(who, challenge)).bytes
    return device.get({"challenge": bytes_to_base64url(bytes)})


# asking


def test_asking_says_how_and_for_what(world: World) -> None:
    """Without a proof: the methods this person has, the action in words, what to sign, and a page."""
    details = asked(world, somebody(world))
    assert (details["methods"], details["otp"], details["action"]) == (["password"], False, "approve ap_1")
    assert details["sign"].startswith(APPROVE.decode() + "\nnonce ")
    assert details["url"] == f"http://localhost:7443/prove/{details['challenge']}"


def test_an_agent_proves_nothing(world: World) -> None:
    """A chain with an agent in it is no person, whatever it knows."""
    who = somebody(world)
    world.call(lambda: world.access.add_agent(who, f"agent-{who.person.name}", who.person.name, []))
    chain = world.call(lambda: world.access.chain(who.person.name, f"agent-{who.person.name}"))
    with pytest.raises(Refused) as caught:
        prove(world, chain, method="password", password=PASSWORD)
    assert caught.value.code == "stepup.agent"


def test_nothing_enrolled_proves_nothing(world: World) -> None:
    """Who has no credential is told how to get one; an empty password is none."""
    world.login("ghost")
    who = world.call(lambda: world.access.chain("ghost"))
    world.call(
        lambda: world.enrolment._enrolled.revoke(
            who.person.subject, world.enrolment._enrolled.ids(who.person.subject), by="x"
        )
    )
    assert asked(world, who)["methods"] == []
    for password in ("", PASSWORD):
        asked(world, who, method="password", password=password)


@pytest.mark.parametrize("method", ["telepathy", "totp", "Password", "password\n", "x" * 16])
def test_other_methods_are_wrong(world: World, method: str) -> None:
    """What is no method proves nothing, a one-time password alone neither."""
    asked(world, somebody(world), method=method, password=PASSWORD, otp="123456", ticket="x", challenge="x")


# passwords


def test_password(world: World) -> None:
    """It proves, every time; a wrong one does not, and both are leaves that hold no password."""
    who = somebody(world)
    proof = prove(world, who, method="password", password=PASSWORD)
    assert (proof.method, proof.key[:2], proof.signature) == ("password", "c_", b"")
    asked(world, who, method="password", password=OTHER)
    leaf = next(leaf for leaf in reversed(world.leaves("auth.ok")) if leaf["sub"] == who.person.subject)
    assert (leaf["how"], leaf["cred"]) == ("password", proof.key)
    assert world.leaves("auth.fail")[-1]["code"] == "stepup.wrong"
    assert PASSWORD not in str(world.leaves())


def test_with_one_time_passwords_both_are_needed(world: World) -> None:
    """Neither is enough alone, and what is wrong is not said."""
    who = somebody(world)
    made = with_totp(world, who)
    now = world.clock.now() // 1_000_000
    otp = made.at(now)
    told = [
        asked(world, who, method="password", password=PASSWORD),
        asked(world, who, method="password", password=OTHER, otp=otp),
        asked(world, who, method="password", password=PASSWORD, otp="000000" if otp != "000000" else "000001"),
    ]
    alike = [{name: value for name, value in each.items() if name in ("methods", "otp")} for each in told]
    assert alike == [{"methods": ["password"], "otp": True}] * 3
    assert prove(world, who, method="password", password=PASSWORD, otp=made.at(now + 30)).method == "totp"


def test_one_time_password_counts_once(world: World) -> None:
    """What was used is used, also for another action and by another attempt at the same time."""
    who = somebody(world)
    otp = with_totp(world, who).at(world.clock.now() // 1_000_000 + 30)

    async def twice() -> list[object]:
        offered = {"method": "password", "password": PASSWORD, "otp": otp}
        tries = (world.credentials.prove(who, action("connect", each), offered) for each in ("shop", "crm"))
        return list(await asyncio.gather(*tries, return_exceptions=True))

    found = world.call(twice)
    assert sorted(type(each).__name__ for each in found) == ["AgentError", "Proof"]
    asked(world, who, method="password", password=PASSWORD, otp=otp)


def test_guessing_is_slowed_and_lets_the_person_in_elsewhere(world: World) -> None:
    """After a few wrong ones even the right one waits there; from another address it holds."""
    who = somebody(world)
    for _ in range(PAIR_FREE):
        with pytest.raises(AgentError, match="does not hold"):
            prove(world, who, peer="203.0.113.5", method="password", password=OTHER)
    with pytest.raises(AgentError, match="too many") as caught:
        prove(world, who, peer="203.0.113.5", method="password", password=PASSWORD)
    assert (caught.value.code, caught.value.details["retry_after"]) == ("auth.slowed", 1)
    assert prove(world, who, peer="203.0.113.6", method="password", password=PASSWORD).method == "password"
    assert "auth.slowed" in world.kinds()


def test_old_hashes_are_made_anew(world: World) -> None:
    """A hash with other parameters is replaced at the next proof, and the password stays the same."""
    who = somebody(world)
    row = world.call(lambda: world.enrolment.listing(who))[0]
    old = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash(PASSWORD)
    world.call(lambda: world.credentials.enrolled.resealed(row, old.encode()))
    prove(world, who, method="password", password=PASSWORD)
    row = world.call(lambda: world.enrolment.listing(who))[0]
    assert world.credentials.enrolled.secret(row).decode() != old
    assert not world.credentials.passwords.stale(world.credentials.enrolled.secret(row).decode())
    prove(world, who, method="password", password=PASSWORD)


# logging in


def test_logging_in(world: World) -> None:
    """Name and password; unknown, disabled, wrong, and without any are the same answer after the same work."""
    who = somebody(world)
    found, proof = world.call(lambda: world.credentials.identify(who.person.name, PASSWORD))
    assert (found.person.subject, proof.method) == (who.person.subject, "password")
    gone = somebody(world)
    root = world.call(lambda: world.access.chain("root"))
    world.call(lambda: world.access.disable(root, gone.person.name, gone.person.kind))
    told = set()
    for name, password in (("nobody", PASSWORD), ("bob", OTHER), (gone.person.name, PASSWORD), ("ghost", PASSWORD)):
        with pytest.raises(AgentError) as caught:
            world.call(lambda name=name, password=password: world.credentials.identify(name, password))  # type: ignore[misc]
        told.add((caught.value.code, caught.value.message, caught.value.hint))
    assert len(told) == 1


def test_every_login_costs_one_password(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether somebody exists, has a password or is disabled: one verification each."""
    who, counted = somebody(world), 0
    real = PasswordHasher.verify

    def counting(self: PasswordHasher, hash: str, password: str) -> bool:
        nonlocal counted
        counted += 1
        return real(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    for name in ("nobody-at-all", "bob", who.person.name):
        with pytest.raises(AgentError):
            world.call(lambda name=name: world.credentials.identify(name, OTHER, peer="192.0.2.77"))  # type: ignore[misc]
    assert counted == 3


# ssh keys


def test_ssh_key(world: World, tmp_path: Path) -> None:
    """A signature of the real ssh-keygen proves this action once, and anybody can check it later."""
    who = somebody(world)
    key = with_ssh(world, who, tmp_path)
    details = asked(world, who)
    assert details["methods"] == ["password", "ssh"]
    offered = {"method": "ssh", "challenge": details["challenge"], "signature": sign(key, details["sign"])}
    proof = prove(world, who, **offered)
    assert (proof.method, proof.signed) == ("ssh", details["sign"].encode())
    asked(world, who, **offered)
    leaf = next(leaf for leaf in world.leaves("cred.enrolled") if leaf["cred"] == proof.key)
    (tmp_path / "allowed").write_text(f"alice ssh-ed25519 {leaf['pub']}\n")
    (tmp_path / "signature").write_bytes(proof.signature)
    command = ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed", "-I", "alice", "-n", "tidegate"]
    checked = subprocess.run([*command, "-s", tmp_path / "signature"], input=proof.signed, capture_output=True)
    assert checked.returncode == 0, checked.stderr


def test_signature_is_for_its_action_its_person_and_its_challenge(world: World, tmp_path: Path) -> None:
    """Signed for another action, by another person's key, or for another challenge: nothing."""
    who, other = somebody(world), somebody(world)
    key = with_ssh(world, who, tmp_path)
    details = asked(world, who)
    signature = sign(key, details["sign"])
    asked(world, who, action("approve", "ap_2", "x"), method="ssh", challenge=details["challenge"], signature=signature)
    asked(world, who, method="ssh", challenge=asked(world, who)["challenge"], signature=signature)
    theirs = asked(world, other)
    asked(world, other, method="ssh", challenge=theirs["challenge"], signature=sign(key, theirs["sign"]))
    mine = asked(world, who)
    asked(world, other, method="ssh", challenge=mine["challenge"], signature=sign(key, mine["sign"]))


# passkeys


def test_passkey(world: World) -> None:
    """It proves this action once; the proof holds what is needed to check it later."""
    who = somebody(world)
    device = with_passkey(world, who)
    details = asked(world, who)
    answer = get(world, who, device, details["challenge"])
    proof = prove(world, who, method="passkey", challenge=details["challenge"], credential=answer)
    nonce, authenticator, client = (bytes.fromhex(part.decode()) for part in proof.signed.split(b"\n"))
    assert proof.method == "passkey"
    check_passkey(proof, nonce, authenticator, client, device)
    asked(world, who, method="passkey", challenge=details["challenge"], credential=answer)


def check_passkey(proof: Proof, nonce: bytes, authenticator: bytes, client: bytes, device: Authenticator) -> None:
    """As an auditor would, with hashes and the public key only."""
    challenge = hashlib.sha256(nonce + APPROVE).digest()
    assert json.loads(client)["challenge"] == bytes_to_base64url(challenge)
    signed = authenticator + hashlib.sha256(client).digest()
    device.key.public_key().verify(proof.signature, signed, ec.ECDSA(hashes.SHA256()))


def test_copied_passkey_is_refused(world: World) -> None:
    """A counter that does not grow is a copy; the original goes on."""
    who = somebody(world)
    device = with_passkey(world, who)
    details = asked(world, who)
    prove(world, who, method="passkey", challenge=details["challenge"],
          credential=get(world, who, device, details["challenge"]))  # fmt: skip
    device.counter -= 1
    details = asked(world, who)
    answer = get(world, who, device, details["challenge"])
    details = asked(world, who, method="passkey", challenge=details["challenge"], credential=answer)
    answer = get(world, who, device, details["challenge"])
    assert prove(world, who, method="passkey", challenge=details["challenge"], credential=answer).method == "passkey"


# tickets and browsers


def test_ticket(world: World) -> None:
    """A fresh login at the provider, for this action, once, for this person."""
    who, other = somebody(world), somebody(world)
    ticket = world.call(lambda: world.credentials.ticket(who, APPROVE, "oidc:corp"))
    asked(world, other, method="login", ticket=ticket)
    proof = prove(world, who, method="login", ticket=ticket)
    assert (proof.method, proof.key) == ("login", "oidc:corp")
    asked(world, who, method="login", ticket=ticket)
    ticket = world.call(lambda: world.credentials.ticket(who, action("approve", "ap_2", "x"), "oidc:corp"))
    asked(world, who, method="login", ticket=ticket)


def test_browser_proves_for_the_terminal(world: World) -> None:
    """The terminal waits with its challenge; what the browser proves holds for it, once."""
    who, other = somebody(world), somebody(world)
    challenge = asked(world, who)["challenge"]
    with pytest.raises(AgentError) as caught:
        prove(world, who, method="browser", challenge=challenge)
    assert caught.value.code == "stepup.waiting"
    with pytest.raises(Refused, match="no such question"):
        world.call(lambda: world.credentials.challenge(other, challenge))
    offered = {"method": "password", "password": PASSWORD}
    world.call(lambda: world.credentials.fulfil(who, challenge, offered))
    asked(world, other, method="browser", challenge=challenge)
    asked(world, who, action("approve", "ap_2", "x"), method="browser", challenge=challenge)
    assert prove(world, who, method="browser", challenge=challenge).method == "password"
    asked(world, who, method="browser", challenge=challenge)


def test_browser_answers_with_a_passkey(world: World) -> None:
    """The page answers the very challenge that the terminal waits with."""
    who = somebody(world)
    device = with_passkey(world, who)
    challenge = asked(world, who)["challenge"]
    offered = {"method": "passkey", "challenge": challenge, "credential": get(world, who, device, challenge)}
    world.call(lambda: world.credentials.fulfil(who, challenge, offered))
    assert prove(world, who, method="browser", challenge=challenge).method == "passkey"


def test_a_key_that_has_ended_proves_nothing_more(world: World, tmp_path: Path) -> None:
    """Also when it signed before that, and its proof waited in the browser."""
    who = somebody(world)
    key = with_ssh(world, who, tmp_path)
    challenge = asked(world, who)
    offered = {"method": "ssh", "challenge": challenge["challenge"], "signature": sign(key, challenge["sign"])}
    world.call(lambda: world.credentials.fulfil(who, challenge["challenge"], offered))
    ids = world.credentials.enrolled.ids(who.person.subject)
    world.call(lambda: world.credentials.enrolled.revoke(who.person.subject, ids, by=who.person.subject))
    asked(world, who, method="browser", challenge=challenge["challenge"])


def test_a_key_that_ends_while_its_proof_is_checked(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads the log afterwards finds no proof by a key that had ended."""
    who = somebody(world)
    key = with_ssh(world, who, tmp_path)
    challenge = asked(world, who)
    convinces = world.credentials._convinces

    async def slow(*arguments: Any) -> bool:
        subject = who.person.subject
        await world.credentials.enrolled.revoke(subject, world.credentials.enrolled.ids(subject), by=subject)
        return await convinces(*arguments)

    monkeypatch.setattr(world.credentials, "_convinces", slow)
    asked(world, who, method="ssh", challenge=challenge["challenge"], signature=sign(key, challenge["sign"]))


def test_what_no_auditor_would_believe_is_no_proof(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one crooked signature would make the whole log fail for ever."""
    who = somebody(world)
    key = with_ssh(world, who, tmp_path)
    challenge = asked(world, who)
    monkeypatch.setattr("tidegate.enforcement.credentials.proof_holds", lambda *_: False)
    asked(world, who, method="ssh", challenge=challenge["challenge"], signature=sign(key, challenge["sign"]))


def test_wrong_in_the_browser_leaves_nothing(world: World) -> None:
    """The terminal goes on waiting, and a browser cannot hand on what another left."""
    who = somebody(world)
    challenge = asked(world, who)["challenge"]
    for offered in ({"method": "password", "password": OTHER}, {"method": "browser", "challenge": challenge}, {}):
        with pytest.raises(AgentError):
            world.call(lambda offered=offered: world.credentials.fulfil(who, challenge, offered))  # type: ignore[misc]
    with pytest.raises(AgentError, match="nobody has proven"):
        prove(world, who, method="browser", challenge=challenge)


def test_a_challenge_is_over_after_a_restart(world: World) -> None:
    """Challenges are in memory only: an invented one is none."""
    asked(world, somebody(world), method="browser", challenge="x" * 32)


def test_errors_hold_no_secret(world: World) -> None:
    """Neither text nor details repeat what was typed."""
    who = somebody(world)
    with pytest.raises(AgentError) as caught:
        prove(world, who, method="password", password=OTHER, otp="123456")
    error: Any = caught.value
    assert OTHER not in f"{error} {error.hint} {error.details}"


def test_one_time_passwords_are_not_guessed_from_everywhere(world: World) -> None:
    """Who has the password and many addresses has few tries; where the person was before, they get in."""
    who = somebody(world)
    name, office = who.person.name, "203.0.113.77"
    assert world.call(lambda: world.credentials.identify(name, PASSWORD, "", office))
    made = with_totp(world, who)
    right = made.at(world.clock.now() // 1_000_000 + 30)
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    for at in range(SECOND_FREE + 3):
        with pytest.raises(AgentError, match="is wrong"):
            world.call(lambda at=at: world.credentials.identify(name, PASSWORD, wrong, f"2001:db8:0:{at:x}::1"))
    with pytest.raises(AgentError, match="is wrong"):
        world.call(lambda: world.credentials.identify(name, PASSWORD, right, "2001:db8:0:ffff::1"))
    found, proof = world.call(lambda: world.credentials.identify(name, PASSWORD, right, office))
    assert (found.person.name, proof.method) == (name, "totp")
