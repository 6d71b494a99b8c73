"""Credentials come and go with a proof, or with the code that lets somebody start."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyotp
import pytest

from authenticator import Authenticator
from tidegate.enforcement.enrolled import Enrolled
from tidegate.enforcement.enrolment import MOST
from tidegate.errors import AgentError, IntegrityError, Refused
from tidegate.identity import codes
from tidegate.model.identity import Identity
from tidegate.model.proof import Proof
from unit.enforcement.test_credentials import (
    OTHER,
    asked,
    prove,
    somebody,
    with_passkey,
    with_ssh,
    with_totp,
)
from unit.web.world import BY_PASSWORD, PASSWORD, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.login("alice", "staff")
        yield started


def methods(world: World, who: Identity) -> list[str]:
    """What somebody has."""
    return [row.method for row in world.call(lambda: world.enrolment.listing(who))]


def restarted(world: World) -> Enrolled:
    """The enrolled as it is after a restart, from the log and the store."""
    leaves = world.leaves()
    return Enrolled(world.log, world.store, world.box, world.clock, leaves)


def change(world: World, statement: str, *values: object) -> None:
    """Edit the store by hand."""
    with sqlite3.connect(world.settings.data / "store.sqlite") as database:
        database.execute(statement, values)


def test_every_kind_is_enrolled_with_its_leaf(world: World, tmp_path: Path) -> None:
    """The leaf names method and proof, and of keys the public half; never a secret, never a label in clear."""
    who = somebody(world)
    with_passkey(world, who)
    with_ssh(world, who, tmp_path)
    with_totp(world, who)
    rows = world.call(lambda: world.enrolment.listing(who))
    leaves = {leaf["cred"]: leaf for leaf in world.leaves("cred.enrolled") if leaf["sub"] == who.person.subject}
    assert [row.method for row in rows] == ["password", "passkey", "ssh", "totp"]
    assert [leaves[row.id]["i"] for row in rows] == [row.leaf for row in rows]
    assert [leaves[row.id]["how"] for row in rows] == ["code", "password", "password", "password"]
    assert [row.method for row in rows if "pub" in leaves[row.id]] == ["passkey", "ssh"]
    assert "laptop" not in str(leaves)


def test_a_login_alone_adds_and_removes_nothing(world: World, tmp_path: Path) -> None:
    """Whatever runs under the same account has the login; without a proof it changes nothing."""
    who = somebody(world)
    enrolment = world.enrolment
    row = world.call(lambda: enrolment.listing(who))[0]
    (tmp_path / "key").mkdir()
    line = with_ssh(world, somebody(world), tmp_path / "key").with_suffix(".pub").read_text()
    totp = world.call(lambda: enrolment.begin_totp(who))
    making = world.call(lambda: enrolment.begin_passkey(who))
    otp, made = pyotp.TOTP(totp.secret).now(), Authenticator().create(making.options)
    before = methods(world, who)
    for offered in (None, {}, {"method": "password", "password": OTHER}):
        for attempt in (
            lambda o=offered: enrolment.add_ssh(who, line, "", o, peer="192.0.2.1"),
            lambda o=offered: enrolment.finish_totp(who, totp.id, otp, "", o, peer="192.0.2.2"),
            lambda o=offered: enrolment.finish_passkey(who, making.id, made, "", o, peer="192.0.2.3"),
            lambda o=offered: enrolment.change_password(who, OTHER, o, peer="192.0.2.4"),
            lambda o=offered: enrolment.remove(who, row.id, o, peer="192.0.2.5"),
        ):
            with pytest.raises(AgentError) as caught:
                world.call(attempt)
            assert caught.value.code in ("stepup.required", "stepup.wrong")
    assert methods(world, who) == before


def test_a_changed_password_is_the_only_one(world: World) -> None:
    """The old one proves nothing more."""
    who = somebody(world)
    world.call(lambda: world.enrolment.change_password(who, OTHER, BY_PASSWORD))
    asked(world, who, method="password", password=PASSWORD)
    assert prove(world, who, method="password", password=OTHER).method == "password"
    assert methods(world, who) == ["password"]


def test_weak_passwords_are_refused_before_anything_else(world: World) -> None:
    """Also one's own name and a year."""
    who = somebody(world)
    for weak in ("short", "password1234", f"{who.person.name}-2026-{who.person.name}"):
        with pytest.raises(AgentError) as caught:
            world.call(lambda weak=weak: world.enrolment.change_password(who, weak, BY_PASSWORD))  # type: ignore[misc]
        assert caught.value.code == "password.weak"


def test_a_code_starts_over(world: World, tmp_path: Path) -> None:
    """All that was there before has ended, one-time passwords too."""
    who = somebody(world)
    with_totp(world, who)
    world.call(lambda: world.enrolment.start_over(who.person, OTHER))
    assert methods(world, who) == ["password"]
    assert prove(world, who, method="password", password=OTHER) == Proof(
        "password", world.call(lambda: world.enrolment.listing(who))[0].id
    )
    ended = [leaf for leaf in world.leaves("cred.revoked") if leaf["sub"] == who.person.subject]
    assert len(ended) == 2


def test_one_time_passwords_need_a_working_device(world: World) -> None:
    """A wrong first one enrols nothing; the right one finishes once; it has been used by that."""
    who = somebody(world)
    begun = world.call(lambda: world.enrolment.begin_totp(who))
    made = pyotp.TOTP(begun.secret)
    with pytest.raises(AgentError, match="one-time password is wrong"):
        world.call(lambda: world.enrolment.finish_totp(who, begun.id, "000000", "", BY_PASSWORD))
    otp = made.now()
    world.call(lambda: world.enrolment.finish_totp(who, begun.id, otp, "", BY_PASSWORD))
    asked(world, who, method="password", password=PASSWORD, otp=otp)
    with pytest.raises(AgentError, match="one-time password is wrong"):
        world.call(lambda: world.enrolment.finish_totp(who, begun.id, made.now(), "", BY_PASSWORD))
    assert methods(world, who) == ["password", "totp"]


def test_another_device_takes_the_place_of_the_first(world: World) -> None:
    """It needs the first one's password, and then the first one proves nothing."""
    who = somebody(world)
    first = with_totp(world, who)
    begun = world.call(lambda: world.enrolment.begin_totp(who))
    second, now = pyotp.TOTP(begun.secret), world.clock.now() // 1_000_000
    with pytest.raises(AgentError, match="does not hold"):
        world.call(lambda: world.enrolment.finish_totp(who, begun.id, second.at(now - 30), "", BY_PASSWORD))
    offered = {**BY_PASSWORD, "otp": first.at(now)}
    world.call(lambda: world.enrolment.finish_totp(who, begun.id, second.at(now - 30), "", offered))
    asked(world, who, method="password", password=PASSWORD, otp=first.at(now + 30))
    assert prove(world, who, method="password", password=PASSWORD, otp=second.at(now + 30)).method == "totp"


def test_removing(world: World, tmp_path: Path) -> None:
    """One's own, with a proof, but not the last that proves anything."""
    who, other = somebody(world), somebody(world)
    row = world.call(lambda: world.enrolment.listing(who))[0]
    with pytest.raises(Refused, match="all you can prove"):
        world.call(lambda: world.enrolment.remove(who, row.id, BY_PASSWORD))
    with_ssh(world, who, tmp_path)
    with pytest.raises(Refused, match="no such credential"):
        world.call(lambda: world.enrolment.remove(other, row.id, BY_PASSWORD))
    world.call(lambda: world.enrolment.remove(who, row.id, BY_PASSWORD))
    assert methods(world, who) == ["ssh"]
    asked(world, who, method="password", password=PASSWORD)


def test_twice_and_too_many_are_refused(world: World, tmp_path: Path) -> None:
    """The same key twice; more than so many credentials."""
    who = somebody(world)
    key = with_ssh(world, who, tmp_path)
    line = key.with_suffix(".pub").read_text()
    with pytest.raises(Refused, match="already"):
        world.call(lambda: world.enrolment.add_ssh(who, line, "", BY_PASSWORD))
    for _ in range(MOST - 2):
        with_passkey(world, who)
    with pytest.raises(Refused, match="nobody has more"):
        with_passkey(world, who)


def test_one_key_is_one_person(world: World, tmp_path: Path) -> None:
    """A key in two hands would count as two people: it is refused until the first has let go of it."""
    line = with_ssh(world, somebody(world), tmp_path).with_suffix(".pub").read_text()
    other = somebody(world)
    with pytest.raises(Refused, match="another account"):
        world.call(lambda: world.enrolment.add_ssh(other, line, "", BY_PASSWORD))


def test_credentials_survive_a_restart(world: World) -> None:
    """Log and store agree, so they are all there again."""
    who = somebody(world)
    with_totp(world, who)
    enrolled = restarted(world)
    rows = world.call(lambda: enrolled.of(who.person.subject))
    assert [row.method for row in rows] == ["password", "totp"]


def test_a_row_put_back_opens_nothing(world: World) -> None:
    """The row of an old password, genuine signature and all, is ignored: the log says that it ended."""
    who = somebody(world)
    row = world.call(lambda: world.enrolment.listing(who))[0]
    world.call(lambda: world.enrolment.change_password(who, OTHER, BY_PASSWORD))
    world.store.put_credential(row)
    asked(world, who, method="password", password=PASSWORD)
    enrolled = restarted(world)
    rows = world.call(lambda: enrolled.of(who.person.subject))
    assert row.id not in [each.id for each in rows]


def test_a_counter_turned_back_counts_nothing_twice(world: World) -> None:
    """The row as it was before a one-time password was used does not bring it back."""
    who = somebody(world)
    made = with_totp(world, who)
    before = world.store.credentials(who.person.subject)
    otp = made.now()
    prove(world, who, method="password", password=PASSWORD, otp=otp)
    for row in before:
        world.store.put_credential(row)
    asked(world, who, method="password", password=PASSWORD, otp=otp)


def test_a_row_that_the_log_does_not_know_is_ignored(world: World) -> None:
    """Also when it has a signature, as one written by a thief of the store's keys would."""
    who, thief = somebody(world), somebody(world)
    row = world.call(lambda: world.enrolment.listing(thief))[0]
    sealed = world.box.seal(world.credentials.enrolled.secret(row), "password:c_forged")
    world.store.put_credential(replace(row, id="c_forged", subject=who.person.subject, sealed=sealed))
    assert "c_forged" not in [each.id for each in world.call(lambda: world.enrolment.listing(who))]


def test_a_row_taken_out_weakens_nothing(world: World) -> None:
    """Without the row of the one-time passwords a password alone is not enough: nothing is, until a fresh start."""
    who = somebody(world)
    with_totp(world, who)
    change(world, "DELETE FROM credentials WHERE subject = ? AND method = 'totp'", who.person.subject)
    with pytest.raises(IntegrityError):
        prove(world, who, method="password", password=PASSWORD)
    world.call(lambda: world.enrolment.start_over(who.person, OTHER))
    assert prove(world, who, method="password", password=OTHER).method == "password"


def test_an_edited_row_is_noticed(world: World) -> None:
    """A row that says something else than was signed stops its owner's proofs."""
    who = somebody(world)
    change(world, "UPDATE credentials SET counter = 7 WHERE subject = ?", who.person.subject)
    with pytest.raises(IntegrityError):
        prove(world, who, method="password", password=PASSWORD)


def test_a_secret_moved_to_another_row_is_none(world: World) -> None:
    """What was sealed for one credential does not open as another's."""
    who, other = somebody(world), somebody(world)
    mine, theirs = (world.call(lambda each=each: world.enrolment.listing(each))[0] for each in (who, other))  # type: ignore[misc]
    world.store.put_credential(replace(mine, sealed=theirs.sealed))
    with pytest.raises(IntegrityError):
        prove(world, who, method="password", password=PASSWORD)


def test_the_store_holds_no_secret_in_clear(world: World) -> None:
    """Neither a hash of a password nor a secret of one-time passwords stands in the file."""
    who = somebody(world)
    made = with_totp(world, who)
    raw = b"".join(path.read_bytes() for path in world.settings.data.glob("store.sqlite*"))
    assert b"$argon2id$" not in raw
    assert made.secret.encode() not in raw
    assert PASSWORD.encode() not in raw


def test_a_code_that_was_put_back_is_used_up(world: World) -> None:
    """Also after a restart: the row is genuine, and the log knows that the code was used."""
    who = somebody(world)
    root = world.call(lambda: world.access.chain("root"))
    _, code = world.call(lambda: world.access.fresh_code(root, who.person.name))
    with sqlite3.connect(world.settings.data / "store.sqlite") as database:
        (row,) = database.execute("SELECT * FROM codes WHERE subject = ?", (who.person.subject,)).fetchall()
    world.call(lambda: world.access.enrol(code, PASSWORD))
    change(world, f"INSERT INTO codes VALUES ({', '.join('?' * len(row))})", *row)
    with pytest.raises(AgentError) as again:
        world.call(lambda: world.access.enrol(code.lower(), OTHER))
    assert again.value.code == "code.invalid"
    assert restarted(world).used(codes.mark(code)) and code not in str(world.leaves())


def test_another_code_takes_the_place_of_the_first(world: World) -> None:
    """Whoever found the first one finds it worthless, before and after the second is used."""
    who = somebody(world)
    root = world.call(lambda: world.access.chain("root"))
    first, second = (world.call(lambda: world.access.fresh_code(root, who.person.name))[1] for _ in range(2))
    with pytest.raises(AgentError, match="wrong, was used"):
        world.call(lambda: world.access.enrol(first, OTHER))
    assert world.call(lambda: world.access.enrol(second, PASSWORD)).identity.person.name == who.person.name
