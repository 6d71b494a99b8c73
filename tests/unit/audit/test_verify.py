"""The offline verifier against every kind of forger."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from signing import passkey
from tidegate.audit import verify as module
from tidegate.audit.checkpoint import Checkpoint, LogKey
from tidegate.audit.entry import encode
from tidegate.audit.log import Log
from tidegate.audit.tiles import WIDTH, Edge, bundle, tile_path
from tidegate.audit.tree import leaf_hash
from tidegate.audit.verify import ed25519_verify, read_checkpoint, verify
from tidegate.model.event import KINDS
from tidegate.recording.shelf import Shelf

NAME = "example.org/gw/gw1/2026"
KEY = LogKey(NAME, Ed25519PrivateKey.from_private_bytes(bytes(32)))


def leaf(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "i": index, "k": kind, "t": 10**15 + index, "m": index, "b": "boot", "gw": "gw1", **fields}


def publish(directory: Path, entries: Sequence[bytes], key: LogKey = KEY) -> Path:
    """Lay out ``entries`` as a log whose every hash and signature is right; gives the data directory."""
    log, edge = directory / "log" / "2026", Edge()
    shutil.rmtree(directory, ignore_errors=True)
    files = {}
    for entry in entries:
        files.update({tile.path: b"".join(tile.row) for tile in edge.add(leaf_hash(entry))})
    files.update({tile.path: b"".join(tile.row) for tile in edge.partial()})
    for start in range(0, len(entries), WIDTH):
        part = entries[start : start + WIDTH]
        files[tile_path("entries", start // WIDTH, len(part))] = bundle(part)
    files["checkpoint"] = key.sign(Checkpoint(key.name, len(entries), edge.root()).text)
    for path, data in files.items():
        (log / path).parent.mkdir(parents=True, exist_ok=True)
        (log / path).write_bytes(data)
    return directory


def tell(directory: Path, *events: dict[str, Any]) -> Path:
    """A log of a genesis and ``events``, each with its kind under ``k``."""
    first = leaf(0, "log.genesis", vkey=KEY.verifier.vkey)
    return publish(directory, [encode(first), *(encode({**leaf(n, ""), **event}) for n, event in enumerate(events, 1))])


def entries(directory: Path) -> list[bytes]:
    log = next((directory / "log").iterdir())
    size = int((log / "checkpoint").read_text().split("\n")[1])
    found: list[bytes] = []
    for start in range(0, size, WIDTH):
        path = tile_path("entries", start // WIDTH, min(WIDTH, size - start))
        found += module._unbundle((log / path).read_bytes())
    return found


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    path = tmp_path / "trust.txt"
    path.write_text(f"# the log of gw1\nlog {KEY.verifier.vkey}\nquorum none\n")
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[Path], Path]:
    """Puts a copy of the present checkpoint outside the data directory."""

    def keep(directory: Path) -> Path:
        return Path(shutil.copy(next(directory.glob("log/*/checkpoint")), tmp_path / "kept"))

    return keep


def test_a_log_made_by_the_gateway_holds(fill: Callable[[int], Path]) -> None:
    """All checks pass, full tiles included, and what is not proven is said."""
    directory = fill(700)
    report = verify(directory, trust=directory / "trust.txt", seen=[next(directory.glob("log/*/checkpoint"))])
    assert report.status == 0 and not report.findings and len(report.checks) == len(module.CHECKS)
    assert report.size == 704 and any("witness" in sentence for sentence in report.unproven)


def test_without_trust_and_seen_the_report_says_what_that_costs(fill: Callable[[int], Path]) -> None:
    """No check is claimed that was not made."""
    report = verify(fill(1))
    assert {check.name for check in report.checks}.isdisjoint({"trust", "seen"})
    assert [word in " ".join(report.unproven) for word in ("--trust", "--seen")] == [True, True]


def test_the_kinds_are_the_models() -> None:
    """The verifier's own list and the gateway's are one."""
    assert module.KINDS == KINDS


@given(st.binary(max_size=100), st.data())
def test_signatures_agree_with_another_implementation(message: bytes, data: st.DataObject) -> None:
    """A true signature holds, one with a changed bit does not."""
    public, signature = KEY.verifier.public, bytearray(KEY.private.sign(message))
    assert ed25519_verify(public, message, bytes(signature))
    signature[data.draw(st.integers(0, 63))] ^= 1 << data.draw(st.integers(0, 7))
    assert not ed25519_verify(public, message, bytes(signature))


def test_a_signature_has_one_form_only() -> None:
    """The scalar plus the group's order is refused, RFC 8032 section 5.1.7."""
    signature = KEY.private.sign(b"x")
    other = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    assert not ed25519_verify(KEY.verifier.public, b"x", signature[:32] + other.to_bytes(32, "little"))


def test_no_bit_of_a_checkpoint_is_free(tmp_path: Path) -> None:
    """Also the spare bits of its base64 count: each flip is found (here some, and the last 24)."""
    path = tell(tmp_path / "data") / "log" / "2026" / "checkpoint"
    note = path.read_bytes()
    for bit in [*range(0, len(note) * 8, 29), *range(len(note) * 8 - 24, len(note) * 8)]:
        path.write_bytes(note[: bit // 8] + bytes([note[bit // 8] ^ 1 << bit % 8]) + note[bit // 8 + 1 :])
        assert verify(tmp_path / "data").status == 1, bit


def leaf_at(log: Path, path: Path, at: int) -> int:
    """The first leaf that byte ``at`` of a tile or bundle is about."""
    level, number = path.relative_to(log / "tile").parts[:2]
    first = int(number.removesuffix(".p")) * WIDTH
    if level != "entries":
        return (first + at // 32) << (8 * int(level))
    end = 0
    for index, entry in enumerate(module._unbundle(path.read_bytes()), first):
        end += 2 + len(entry)
        if at < end:
            return index
    raise AssertionError(at)


def test_flipped_bits_are_named_and_never_a_traceback(fill: Callable[[int], Path]) -> None:
    """200 random bits of tiles, bundles and checkpoint: each is found, in tiles and bundles with the leaf's index."""
    directory, chance = fill(280), random.Random(6962)
    log = next(directory.glob("log/*"))
    files = [path for path in sorted(log.rglob("*")) if path.is_file()]
    for _ in range(200):
        path = chance.choice(files)
        original = path.read_bytes()
        at = chance.randrange(len(original))
        wrong = None if path.name == "checkpoint" else leaf_at(log, path, at)
        path.write_bytes(original[:at] + bytes([original[at] ^ 1 << chance.randrange(8)]) + original[at + 1 :])
        report = verify(directory)
        assert report.status == 1, (path, at)
        assert wrong is None or wrong in {finding.index for finding in report.findings}, (path, at, report.findings[:3])
        path.write_bytes(original)


@given(
    st.dictionaries(st.sampled_from(["checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"]), st.binary(max_size=300))
)
def test_garbage_gives_a_report(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    """Whatever the files hold, verify answers."""
    directory = tell(tmp_path_factory.mktemp("garbage"), {"k": "gw.start"}, {"k": "log.stop"})
    for path, data in files.items():
        (directory / "log" / "2026" / path).write_bytes(data)
    report = verify(directory)
    assert report.status == (1 if files else 0) and module.render(report)


@pytest.mark.parametrize(
    "path", ["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"]
)
def test_a_missing_file_is_found(tmp_path: Path, path: str) -> None:
    """Nothing may be left out."""
    directory = tell(tmp_path / "data", *[{"k": "log.heartbeat"}] * 299)
    (directory / "log" / "2026" / path).unlink()
    assert verify(directory).status == 1


def test_a_copy_cut_back_with_its_checkpoints_is_found_by_one_that_was_kept(
    tmp_path: Path, trust: Path, kept: Callable[[Path], Path]
) -> None:
    """Truncation is invisible without a kept checkpoint and plain with one."""
    directory = tell(tmp_path / "data", *[{"k": "log.heartbeat"}] * 9)
    seen, all_entries = kept(directory), entries(directory)
    publish(directory, all_entries[:6])
    assert verify(directory, trust=trust).status == 0
    report = verify(directory, trust=trust, seen=[seen])
    assert report.status == 1 and "truncated" in str(report.findings[0])


def test_a_log_rewritten_with_the_live_key_is_found_by_a_kept_checkpoint(
    tmp_path: Path, trust: Path, kept: Callable[[Path], Path]
) -> None:
    """A new past under the right key passes every other check."""
    directory = tell(tmp_path / "data", *[{"k": "gw.start", "ver": "1"}] * 9)
    seen = kept(directory)
    tell(directory, *[{"k": "gw.start", "ver": "1"}] * 8, {"k": "gw.start", "ver": "2"}, {"k": "log.heartbeat"})
    assert verify(directory, trust=trust).status == 0
    report = verify(directory, trust=trust, seen=[seen])
    assert report.status == 1 and "rewritten" in str(report.findings[0])


def test_a_kept_checkpoint_of_an_older_state_agrees(tmp_path: Path, kept: Callable[[Path], Path]) -> None:
    """The log has grown since; its beginning is the same."""
    events = [{"k": "log.heartbeat"}] * 300
    seen = kept(tell(tmp_path / "data", *events[:70]))
    assert verify(tell(tmp_path / "data", *events), seen=[seen]).status == 0


def test_a_log_made_anew_under_another_key_is_not_trusted(
    tmp_path: Path, trust: Path, kept: Callable[[Path], Path]
) -> None:
    """The trust policy names the key; so does, less plainly, a kept checkpoint."""
    directory = tell(tmp_path / "data", {"k": "gw.start"})
    seen, other = kept(directory), LogKey(NAME, Ed25519PrivateKey.generate())
    first = leaf(0, "log.genesis", vkey=other.verifier.vkey)
    publish(directory, [encode(first), *entries(directory)[1:]], other)
    assert verify(directory).status == 0
    assert verify(directory, trust=trust).status == 4
    assert verify(directory, seen=[seen]).status == 1


def test_what_the_trust_policy_asks_for_and_cannot_be_checked_is_not_met(tmp_path: Path, trust: Path) -> None:
    """A quorum of witnesses is not silently skipped."""
    trust.write_text(trust.read_text().replace("quorum none", "witness w key\nquorum w"))
    assert verify(tell(tmp_path / "data"), trust=trust).status == 4


@pytest.mark.parametrize(
    "entry", [b'{"b": 1}', b"{}", b"[]", b"\xff", b'{"i":1.0}', b"[" * 5000, b'{"a":1,"a":1}', b'{"A":1}']
)
def test_an_entry_in_another_form_is_altered(tmp_path: Path, entry: bytes) -> None:
    """Correctly hashed and signed does not make it canonical, or a leaf."""
    directory = publish(tmp_path / "data", [entries(tell(tmp_path / "data"))[0], entry])
    report = verify(directory)
    assert report.status == 1 and report.findings[0].index == 1


START, END = {"k": "session.start", "sid": "s", "n": 1}, {"k": "session.end", "sid": "s", "n": 2, "total": 2}
CHAIN = ["u_alice", "a_coder"]
BOUND = [{"k": "identity.bound", "sub": name, "groups": ["dba"]} for name in ("u_alice", "u_bob", "u_dave")]
GRANT = {"k": "grant.activated", "gid": "g", "act": CHAIN, "res": "shop", "exp": 2 * 10**15}
BEGUN = {"k": "session.start", "sid": "s", "act": CHAIN, "gid": "g", "res": "shop", "jti": "tk"}
ASKED = {
    "k": "approval.requested", "ap": "a", "dg": "d", "act": CHAIN, "inv": [*CHAIN, "u_owner"], "ses": "s",
    "exp": 2 * 10**15, "need": [{"groups": ["dba"], "count": 1, "rule": "r"}],
}  # fmt: skip
NEED = [{"groups": ["dba"], "count": 2, "rule": "r"}]
YES, DAVE = ({"k": "approval.granted", "ap": "a", "dg": "d", "by": by} for by in ("u_bob", "u_dave"))
USED = {"k": "approval.used", "ap": "a", "dg": "d", "ses": "s"}
GO = {"k": "op.released", "sid": "s", "ap": "a", "dg": "d", "of": [6]}
VOID = {"k": "approval.voided", "ap": "a", "dg": "d"}
BOB = passkey()
PROVEN = {**YES, **BOB.signs("approve", "a", "d")}
LATER = [{"groups": ["sre"], "count": 1, "esc": ["dba"], "after": 60}]
ESCALATED = {"k": "approval.escalated", "ap": "a", "dg": "d", "after": 60, "t": 10**15 + 61 * 10**6}
SIGNED = [{"groups": ["dba"], "count": 1, "rule": "r", "signed": True}]
TIMELY = {"exp": 10**15 - 11 * 10**6}
GIVEN = {**GRANT, "gid": "h", "ap": "a"}
ACCESS = {**ASKED, "matter": "grant", "res": "shop", "ses": ""}
ALONE = {"gid": "h", "act": ["u_alice"], "res": "shop", "exp": 2 * 10**15}
GLASS, BROKE = {"k": "breakglass.opened", **ALONE}, {"k": "grant.activated", "kind": "breakglass", **ALONE}
LOOKED = {"k": "breakglass.reviewed", "gid": "h", "by": "u_bob"}
AGENT = {"k": "identity.bound", "sub": "a_coder", "kind": "agent", "groups": ["dba"]}
FORCE = {"k": "policy.activated", "ph": "p", "cfg": "c", "mode": "two-person", "need": {"groups": [], "count": 1}}
ROOT = {"k": "identity.bound", "sub": "u_root", "groups": ["admins"]}


def turned(configuration: str) -> list[dict[str, Any]]:
    """Policy ``p`` is in force; ``q`` with a configuration is proposed by alice, approved by root, and activated."""
    bound = {"by": "u_alice", "configuration": configuration, "from": ["p", "c"], "matter": "policy", "policy": "q"}
    named = {"ap": "a", "dg": hashlib.sha256(json.dumps(bound, separators=(",", ":")).encode()).hexdigest()}
    asked = {"matter": "policy", "sub": "u_alice", "act": ["u_alice"], "inv": ["u_alice"], "exp": 2 * 10**15}
    return [
        *BOUND, ROOT, FORCE,
        {"k": "approval.requested", **named, **asked, "need": [{"groups": ["admins"], "count": 1}]},
        {"k": "approval.granted", **named, "by": "u_root"},
        {"k": "approval.used", **named},
        {**FORCE, "ph": "q", "cfg": configuration, "ap": "a"},
    ]  # fmt: skip


DECIDED, NEXT = turned("c")[:-1], turned("c")[-1]
BOTH = [{"groups": ["dba"], "count": 1, "rule": "r"}, {"groups": ["dba"], "count": 1, "rule": "q"}]


def intent(verdict: str) -> dict[str, Any]:
    return {"k": "op.intent", "sid": "s", "act": CHAIN, "req": verdict}


def based(commitment: str, at: int | None = None) -> dict[str, Any]:
    """An intent with what policy looked at sealed in it, or in leaf ``at``."""
    return {**intent("allow"), "c": {"dec": commitment}, "dec": {} if at is None else {"at": at}}


def outcome(status: str = "ok") -> dict[str, Any]:
    return {"k": "op.outcome", "sid": "s", "of": 6, "st": status}


def lived(
    *events: dict[str, Any], start: dict[str, Any] = BEGUN, grant: dict[str, Any] = GRANT
) -> list[dict[str, Any]]:
    """People, a grant (leaf 4), a session's start (5), and ``events`` from leaf 6 on, numbered."""
    numbers = itertools.count(1)
    numbered = [{**event, "n": next(numbers)} if "sid" in event else event for event in [start, *events]]
    return [*BOUND, grant, *numbered]


STORIES: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "a whole session": (0, [START, END]),
    "an open session with an open intent": (0, [START, {"k": "op.intent", "sid": "s", "n": 2}]),
    "a counter skipped": (3, [START, {**END, "n": 3, "total": 3}]),
    "a total too large": (3, [START, {**END, "total": 3}]),
    "an event after the end": (3, [START, END, {"k": "rec.seal", "sid": "s", "n": 3}]),
    "an intent left open": (3, [START, {"k": "op.intent", "sid": "s", "n": 2}, {**END, "n": 3, "total": 3}]),
    "an outcome of nothing": (3, [START, {"k": "op.outcome", "sid": "s", "n": 2, "of": 1}]),
    "an outcome twice": (3, [{"k": "op.intent"}, {"k": "op.outcome", "of": 1}, {"k": "op.outcome", "of": 1}]),
    "an approval granted and used": (0, lived(intent("hold"), ASKED, YES, USED, GO, outcome())),
    "an approval used twice": (1, lived(intent("hold"), ASKED, YES, USED, USED)),
    "an approval used first": (1, lived(intent("hold"), ASKED, USED, YES)),
    "an approval nobody asked for": (1, lived(intent("hold"), YES)),
    "an approval asked for twice": (1, lived(intent("hold"), ASKED, ASKED)),
    "an approval by the requester": (1, lived(intent("hold"), ASKED, {**YES, "by": "u_alice"})),
    "an approval by the owner of an agent": (
        1, [{"k": "identity.bound", "sub": "u_owner", "groups": ["dba"]}, ASKED, {**YES, "by": "u_owner"}]),
    "an approval by another account of the requester": (
        1, [{"k": "identity.bound", "sub": "u_two", "groups": ["dba"], "same": "u_alice"}, ASKED,
            {**YES, "by": "u_two"}]),
    "an approval by nobody": (1, lived(intent("hold"), ASKED, {**YES, "by": "u_eve"})),
    "an approval by somebody disabled": (
        1, [*lived(intent("hold"), ASKED)[:7], {"k": "identity.disabled", "sub": "u_bob"}, YES]),
    "an approval of another digest": (1, lived(intent("hold"), ASKED, {**YES, "dg": "e"})),
    "an approval used after a no": (1, lived(intent("hold"), ASKED, YES, {**YES, "k": "approval.rejected"}, USED)),
    "one of two approvers": (1, lived(intent("hold"), {**ASKED, "need": NEED}, YES, USED)),
    "one of two approvers, twice": (1, lived(intent("hold"), {**ASKED, "need": NEED}, YES, YES, USED)),
    "two of two approvers": (0, lived(intent("hold"), {**ASKED, "need": NEED}, YES, DAVE, USED, GO, outcome())),
    "one approver for two rules": (1, lived(intent("hold"), {**ASKED, "need": BOTH}, YES, USED)),
    "an approver for each of two rules": (0, lived(intent("hold"), {**ASKED, "need": BOTH}, YES, DAVE, USED)),
    "a yes that is not signed as it must be": (1, lived(intent("hold"), {**ASKED, "need": SIGNED}, YES, USED)),
    "a yes that is signed as it must be": (
        0, lived(intent("hold"), {**ASKED, "need": SIGNED}, BOB.enrolled, PROVEN, USED)),
    "a yes that is signed only by its own account": (
        1, lived(intent("hold"), {**ASKED, "need": SIGNED}, BOB.enrolled, {**YES, "how": "passkey"}, USED)),
    "an approver of another group": (
        1, lived(intent("hold"), {**ASKED, "need": [{"groups": ["sre"], "count": 1}]}, YES, USED)),
    "an escalated approval": (0, lived(intent("hold"), {**ASKED, "need": LATER}, ESCALATED, YES, USED)),
    "an approval answered by who may only later": (1, lived(intent("hold"), {**ASKED, "need": LATER}, YES, USED)),
    "an approval escalated for another rule": (
        1, lived(intent("hold"), {**ASKED, "need": LATER}, {**ESCALATED, "after": 30}, YES, USED)),
    "an approval escalated before its time": (
        1, lived(intent("hold"), {**ASKED, "need": LATER}, {**ESCALATED, "t": 10**15 + 10**6}, YES, USED)),
    "an approval used in time": (0, lived(intent("hold"), {**ASKED, **TIMELY}, {**YES, "exp": 2 * 10**15}, USED)),
    "an approval used after its time": (1, lived(intent("hold"), {**ASKED, **TIMELY}, {**YES, **TIMELY}, USED)),
    "an approval that needs nobody": (1, lived(intent("hold"), {**ASKED, "need": []}, YES, USED)),
    "an approval by an agent": (1, [*BOUND, {**AGENT, "sub": "a_x"}, ASKED, {**YES, "by": "a_x"}]),
    "a grant by people": (0, [*BOUND, ACCESS, YES, {**USED, "ses": ""}, GIVEN]),
    "a grant by an approval that was not used": (1, [*BOUND, ACCESS, YES, GIVEN]),
    "a grant by an approval of an operation": (1, [*BOUND, ASKED, YES, {**USED, "ses": ""}, GIVEN]),
    "a grant by an approval of another resource": (
        1, [*BOUND, {**ACCESS, "res": "bank"}, YES, {**USED, "ses": ""}, GIVEN]),
    "a grant by an approval of somebody else": (
        1, [*BOUND, {**ACCESS, "act": ["u_dave"]}, YES, {**USED, "ses": ""}, GIVEN]),
    "two grants by one approval": (1, [*BOUND, ACCESS, YES, {**USED, "ses": ""}, GIVEN, {**GIVEN, "gid": "i"}]),
    "broken glass": (0, [*BOUND, GLASS, BROKE, LOOKED]),
    "glass that nobody broke": (1, [*BOUND, BROKE]),
    "glass broken for something else": (1, [*BOUND, GLASS, {**BROKE, "res": "bank"}]),
    "glass broken for longer": (1, [*BOUND, GLASS, {**BROKE, "exp": 3 * 10**15}]),
    "glass broken by a chain": (1, [*BOUND, {**GLASS, "act": CHAIN}]),
    "glass broken by an agent": (1, [*BOUND, AGENT, {**GLASS, "act": ["a_coder"]}]),
    "broken glass reviewed by who broke it": (1, [*BOUND, GLASS, {**LOOKED, "by": "u_alice"}]),
    "broken glass reviewed by another account of who broke it": (
        1, [*BOUND, {**ROOT, "same": "u_alice"}, GLASS, {**LOOKED, "by": "u_root"}]),
    "a policy that others approved": (0, [*DECIDED, NEXT]),
    "a policy that stays": (0, [FORCE, FORCE]),
    "a policy that nobody approved": (1, [*BOUND, FORCE, {**FORCE, "ph": "q"}]),
    "a configuration that nobody approved": (1, [FORCE, {**FORCE, "cfg": "d", "mode": "single-person"}]),
    "a policy under an approval of another": (1, [*DECIDED, {**NEXT, "ph": "r"}]),
    "a policy under an approval that was not used": (1, [*DECIDED[:-1], NEXT]),
    "a policy in the place of another": (1, [*DECIDED, NEXT, {**NEXT, "ph": "p"}, NEXT]),
    "a policy with other terms": (1, [*DECIDED, {**NEXT, "mode": "single-person"}]),
    "a policy with other terms at a start": (1, [FORCE, {**FORCE, "mode": "single-person"}]),
    "a configuration read by the start after its approval": (
        0, [*turned("d"), {**FORCE, "ph": "q", "cfg": "d", "mode": "single-person"}]),
    "a configuration read twice": (
        1, [*turned("d"), {**FORCE, "ph": "q", "cfg": "d"}, {**FORCE, "ph": "q", "cfg": "d", "mode": "single-person"}]),
    "a policy approved by too few": (1, [*BOUND, ROOT, {**FORCE, "need": {"groups": [], "count": 2}}, *DECIDED[5:], {
        **NEXT, "need": {"groups": [], "count": 2}}]),
    "a held operation executed": (1, lived(intent("hold"), ASKED, YES, outcome())),
    "a held operation executed without its release": (1, lived(intent("hold"), ASKED, YES, USED, outcome())),
    "an operation released by an approval that was not used": (1, lived(intent("hold"), ASKED, YES, GO, outcome())),
    "an operation released by another session's approval": (
        1, lived(intent("hold"), ASKED, YES, {**USED, "ses": "t"}, GO, outcome())),
    "an operation released for something else": (
        1, lived(intent("hold"), ASKED, YES, USED, {**GO, "dg": "e"}, outcome())),
    "an operation released twice": (1, lived(intent("hold"), ASKED, YES, USED, GO, GO)),
    "an operation released and then void": (0, lived(intent("hold"), ASKED, YES, USED, GO, VOID, outcome("refused"))),
    "an operation executed though void": (1, lived(intent("hold"), ASKED, YES, USED, GO, VOID, outcome())),
    "an intent released that is not the session's": (
        1, lived(intent("hold"), ASKED, YES, USED, {**GO, "of": [5]}, outcome())),
    "a refused operation executed": (1, lived(intent("refuse"), outcome("error"))),
    "a refused operation refused": (0, lived(intent("refuse"), outcome("refused"))),
    "an intent on an earlier one's facts": (0, lived(based("x"), based("x", 6))),
    "an intent on other facts than it says": (1, lived(based("x"), based("y", 6))),
    "an intent on facts of no intent": (1, lived(based("x"), based("x", 5))),
    "an intent on facts of itself by another's name": (1, lived(based("x"), based("x", 6), based("x", 7))),
    "an intent of no session": (3, [{"k": "op.intent"}]),
    "a session without a start": (3, [{**START, "k": "rec.seal"}]),
    "a session without a grant": (1, lived()[4:]),
    "a session of somebody else's grant": (1, lived(grant={**GRANT, "act": ["u_bob"]})),
    "a session on another resource": (1, lived(start={**BEGUN, "res": "bank"})),
    "a session after its grant": (1, lived(grant={**GRANT, "exp": 10**15 - 11 * 10**6})),
    "a session under a revoked grant": (0, [GRANT, {"k": "grant.revoked", "gid": "g"}, {**BEGUN, "n": 1}]),
    "an operation under a revoked token": (
        1, [GRANT, {"k": "token.revoked", "jti": "tk"}, {**BEGUN, "n": 1}, {**intent("allow"), "n": 2}]),
    "an operation of somebody disabled": (
        1, [GRANT, {"k": "identity.disabled", "sub": "a_coder"}, {**BEGUN, "n": 1}, {**intent("allow"), "n": 2}]),
    "a change of identity": (1, lived({**intent("allow"), "act": ["u_bob"]})),
    "a change of process": (1, [START, {"k": "log.recovered", "b": "two"}, {**intent("allow"), "n": 2, "b": "two"}]),
    "a session left open by a stop": (3, [START, {"k": "log.stop"}, {"k": "gw.start", "b": "two"}]),
    "an unknown kind": (1, [{"k": "log.unheard"}]),
    "a wrong index": (1, [{"k": "gw.start", "i": 7}]),
    "a second genesis": (1, [{"k": "log.genesis"}]),
    "silence": (3, [{"k": "log.heartbeat"}, {"k": "log.heartbeat", "m": 40_000_000}]),
    "a clock going backwards": (1, [{"k": "log.heartbeat", "m": 9}, {"k": "log.heartbeat", "m": 8}]),
    "a clean restart": (0, [{"k": "log.stop"}, {"k": "gw.start", "b": "two", "m": 0}]),
    "a recovered crash": (0, [{"k": "log.recovered", "b": "two"}, {"k": "gw.start", "b": "two"}]),
    "a crash passed over": (3, [{"k": "gw.start", "b": "two"}]),
    "synced records lost": (3, [{"k": "log.recovered", "lost": 2}]),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_what_the_leaves_tell_is_checked(tmp_path: Path, name: str) -> None:
    """Stories that hold together pass, the others have their status."""
    status, events = STORIES[name]
    report = verify(tell(tmp_path / "data", *events))
    assert report.status == status, report.findings


Sabotage = Callable[[dict[str, Path]], object]
SABOTAGES: dict[str, tuple[int, Sabotage]] = {
    "nothing": (0, lambda tracks: None),
    "a byte changed": (1, lambda tracks: flip(tracks["agent"], -200)),
    "the end cut off": (1, lambda tracks: tracks["agent"].write_bytes(tracks["agent"].read_bytes()[:-400])),
    "tracks exchanged": (1, lambda tracks: tracks["agent"].write_bytes(tracks["upstream"].read_bytes())),
    "one file gone": (3, lambda tracks: tracks["upstream"].unlink()),
    "emptied": (1, lambda tracks: tracks["agent"].write_bytes(b"")),
    "a frame added": (1, lambda tracks: again(tracks["agent"])),
}


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def again(path: Path) -> None:
    """The last frame once more, under the next number, in place of the trailer."""
    data = path.read_bytes()
    *_, last, trailer = (at for at in range(len(data)) if data[at : at + 4] == b"TGFR")
    frame = data[last:trailer]
    path.write_bytes(
        data[:trailer] + frame[:4] + (int.from_bytes(frame[4:8], "big") + 1).to_bytes(4, "big") + frame[8:]
    )


@pytest.mark.parametrize("name", SABOTAGES)
def test_recordings_are_compared_with_the_log(
    recorded: Callable[[], dict[str, Path]], tmp_path: Path, name: str
) -> None:
    """What was done to a recording is found without any key."""
    status, act = SABOTAGES[name]
    act(recorded())
    shutil.rmtree(tmp_path / "data" / "wal")
    report = verify(tmp_path / "data")
    assert report.status == status, report.findings


def test_recordings_of_another_session_do_not_fit(recorded: Callable[[], dict[str, Path]], tmp_path: Path) -> None:
    """Two recordings with their names exchanged are both found."""
    one, two = recorded()["agent"], recorded()["agent"]
    one.rename(tmp_path / "kept"), two.rename(one), (tmp_path / "kept").rename(two)
    found = [finding for finding in verify(tmp_path / "data").findings if finding.check == "recordings"]
    assert len(found) == 2 and verify(tmp_path / "data").status == 1


def test_frames_that_only_the_write_ahead_log_has_count(
    recorded: Callable[[], dict[str, Path]], tmp_path: Path
) -> None:
    """A power cut may lose the end of a file: recovery writes it again, so the log still holds."""
    track = recorded()["agent"]
    track.write_bytes(b"")
    assert verify(tmp_path / "data").status == 0


def test_recordings_of_a_crash_are_pinned_at_the_next_start(
    recorded: Callable[..., dict[str, Path]], open_log: Callable[..., Log], tmp_path: Path
) -> None:
    """A session that a crash cut off has its recording's root in the log too, so its end cannot be cut later."""
    track = recorded(crash=True)["agent"]
    open_log(chunks=Shelf(tmp_path / "data")).close()
    assert verify(tmp_path / "data").status == 0
    shutil.rmtree(tmp_path / "data" / "wal")
    data = track.read_bytes()
    track.write_bytes(data[: data.rindex(b"TGFR")])
    assert "of 5 frames" in str(verify(tmp_path / "data").findings)


def test_a_trust_policy_of_the_accused_is_named(fill: Callable[[int], Path]) -> None:
    """A trust policy or checkpoint out of the data directory itself proves little, and the report says so."""
    directory = fill(1)
    assert any("data directory itself" in text for text in verify(directory, trust=directory / "trust.txt").unproven)


def test_a_pipe_does_not_hold_the_verifier_up(fill: Callable[[int], Path]) -> None:
    """What is no plain file counts as missing."""
    checkpoint = next(fill(1).glob("log/*/checkpoint"))
    checkpoint.unlink()
    os.mkfifo(checkpoint)
    assert verify(checkpoint.parents[2]).status == 1


def test_open_intents_are_listed(tmp_path: Path) -> None:
    """An intent of a session still open is no finding, but it is said."""
    report = verify(tell(tmp_path / "data", *STORIES["an open session with an open intent"][1]))
    assert any("leaves 2" in sentence for sentence in report.unproven)


def test_leaves_that_no_checkpoint_covers_are_counted(open_log: Callable[..., Log]) -> None:
    """Events only in the write-ahead log are reported as not yet sealed."""
    log = open_log()
    for _ in range(5):
        log.append("log.heartbeat")
    log.close()
    report = verify(log.directory)
    assert report.status == 0 and any("5 leaves are not yet sealed" in sentence for sentence in report.unproven)


@pytest.mark.parametrize(("at", "text"), [(130, "wal/"), (70, "wal/")])
def test_a_damaged_write_ahead_log_is_named(fill: Callable[[int], Path], at: int, text: str) -> None:
    """Segment and byte of the damage are in the finding."""
    directory = fill(5)
    (segment,) = (directory / "wal").glob("*.wal")
    data = bytearray(segment.read_bytes())
    data[at] ^= 1
    segment.write_bytes(data)
    report = verify(directory)
    assert report.status == 1 and text in str(report.findings)


def test_a_write_ahead_log_with_another_story_is_found(fill: Callable[[int], Path], tmp_path: Path) -> None:
    """A tree rewritten beside an untouched write-ahead log contradicts it."""
    directory = fill(5)
    wal = shutil.copytree(directory / "wal", tmp_path / "wal")
    told = entries(directory)
    private = load_pem_private_key((directory / "keys" / "log.key").read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    name = json.loads(told[0])["vkey"].partition("+")[0]
    told[3] = told[3].replace(b'"gw1"', b'"gw2"')
    publish(directory, told, LogKey(name, private))
    assert verify(directory).status == 0
    shutil.copytree(wal, directory / "wal")
    report = verify(directory)
    assert report.status == 1 and report.findings[0].index == 3


@pytest.mark.parametrize(
    "arguments", [[], ["/nonexistent"], ["DIR", "--trust", "/nonexistent"], ["DIR", "--seen", "/dev/null"]]
)
def test_wrong_usage_has_its_status(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be examined is neither a pass nor a fault of the log."""
    directory = str(tell(tmp_path / "data"))
    try:
        status = module.main([argument.replace("DIR", directory) for argument in arguments])
    except SystemExit as stopped:
        status = int(str(stopped.code))
    assert status == 64


def test_the_file_runs_alone(fill: Callable[[int], Path], tmp_path: Path) -> None:
    """A copy of the one file verifies with an isolated interpreter."""
    script = shutil.copy(str(module.__file__), tmp_path / "verify.py")
    command = [sys.executable, "-I", "-S", script, str(fill(3))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "is whole and unaltered" in done.stdout


def test_the_published_vector_verifies() -> None:
    """The log in tests/vectors holds under its key; its root is the one in the specification."""
    vector = Path(__file__).parents[2] / "vectors" / "log"
    report = verify(vector / "data", trust=vector / "trust.txt", seen=[vector / "data/log/2026/checkpoint"])
    assert report.status == 0 and report.root == (vector / "root.txt").read_text().strip()
    assert read_checkpoint((vector / "data/log/2026/checkpoint").read_bytes()).size == report.size
