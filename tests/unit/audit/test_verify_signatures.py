"""What the verifier makes of signatures: the same as ``identity.proofs``, with the standard library alone."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import encode_cbor, parse_cbor

import signing
from signing import Key, passkey, ssh_key
from tidegate.audit import verify as module
from tidegate.audit.verify import proof_holds, verify
from tidegate.identity import proofs
from tidegate.model.proof import action
from unit.audit.test_verify import ASKED, BOB, BROKE, DAVE, GLASS, PROVEN, SIGNED, USED, YES, intent, lived, tell
from unit.identity.test_sshsig import MESSAGE, of_security_key

ACTION = action("approve", "a", "d")
KINDS = ["ssh ed25519", "ssh ecdsa", "ssh rsa", "passkey ES256", "passkey EdDSA", "passkey RS256"]
PROOFS: dict[str, tuple[str, bytes, bytes, bytes, bytes]] = {}


def made(kind: str, directory: Path) -> Key:
    """A fresh key of this kind."""
    method, _, sort = kind.partition(" ")
    return ssh_key(directory, sort) if method == "ssh" else passkey(sort)


def proof(kind: str, directory: Path) -> tuple[str, bytes, bytes, bytes, bytes]:
    """A proof by a key of this kind, made once: the arguments of ``proof_holds``."""
    if kind not in PROOFS:
        key = made(kind, directory)
        PROOFS[kind] = (key.method, key.public, ACTION, *key.sign(ACTION))
    return PROOFS[kind]


def both(*arguments: Any) -> bool:
    """What the verifier says, which has to be what the gateway says."""
    found = proof_holds(*arguments)
    assert found == proofs.holds(*arguments)
    return found


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_it_agrees_with_the_gateway_about_any_changed_bit(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A bit of key, action, signature or what was signed: both say the same, and no to all but the armour's own."""
    method, *parts = proof(kind, tmp_path_factory.mktemp("key"))
    assert both(method, *parts)
    which = data.draw(st.integers(0, 3))
    at = data.draw(st.integers(0, len(parts[which]) * 8 - 1))
    changed = bytearray(parts[which])
    changed[at // 8] ^= 1 << at % 8
    held = both(method, *parts[:which], bytes(changed), *parts[which + 1 :])
    assert not held or (method, which) == ("ssh", 2) or (method, which) == ("passkey", 3)
    assert not both(method, *(part[: len(part) - (n == which)] for n, part in enumerate(parts))) or method == "ssh"


@pytest.mark.parametrize("kind", KINDS[:3])
@given(data=st.data())
def test_it_agrees_about_any_changed_bit_inside_the_armour(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No bit of an ssh signature itself is free."""
    method, public, about, signature, signed = proof(kind, tmp_path_factory.mktemp("key"))
    raw = bytearray(base64.b64decode("".join(signature.decode().splitlines()[1:-1])))
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8
    armour = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(raw).decode()}\n-----END SSH SIGNATURE-----"
    assert not both(method, public, about, armour.encode(), signed)


@given(st.sampled_from(["ssh", "passkey", ""]), *[st.binary(max_size=80)] * 4)
def test_nonsense_holds_nowhere(method: str, public: bytes, about: bytes, signature: bytes, signed: bytes) -> None:
    """Whatever a leaf holds, the answer is no."""
    assert not both(method, public, about, signature, signed)


@pytest.mark.parametrize("hashed", ["sha256", "sha512"])
@pytest.mark.parametrize("kind", signing.SSH_KINDS)
def test_every_kind_of_ssh_key(tmp_path: Path, kind: str, hashed: str) -> None:
    """As ssh-keygen signs; not by another key, for another action, or in another namespace."""
    key, other = (ssh_key(tmp_path, kind, hashed=hashed) for _ in range(2))
    signature, signed = key.sign(ACTION)
    assert both("ssh", key.public, ACTION, signature, signed)
    assert not both("ssh", other.public, ACTION, signature, signed)
    assert not both("ssh", key.public, action("refuse", "a", "d"), signature, signed)
    assert not both("passkey", key.public, ACTION, signature, signed)


@pytest.mark.parametrize("kind", ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"])
@pytest.mark.parametrize("flags", [1, 5, 4, 0])
def test_security_keys(monkeypatch: pytest.MonkeyPatch, kind: str, flags: int) -> None:
    """They hold when somebody touched them."""
    signed = proofs.message(ACTION, signing.NONCE)
    monkeypatch.setattr("unit.identity.test_sshsig.MESSAGE", signed)
    key, signature = of_security_key(kind, flags=flags)
    assert signed != MESSAGE
    assert both("ssh", key.blob, ACTION, signature.encode(), signed) == bool(flags & 1)


@pytest.mark.parametrize(("flags", "said", "holds"), [(5, "get", True), (1, "get", False), (5, "create", False)])
def test_a_passkey_says_who_was_there_and_what_was_done(flags: int, said: str, holds: bool) -> None:
    """Its user is verified, and it was asked for an assertion."""
    key = passkey(flags=flags, said=said)
    assert both("passkey", key.public, ACTION, *key.sign(ACTION)) == holds


@pytest.mark.parametrize("method", ["ssh", "passkey"])
def test_a_nonce_has_its_length(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str) -> None:
    """What comes before the action cannot be stretched into it."""
    for size in (31, 33, 0):
        monkeypatch.setattr(signing, "NONCE", bytes(size))
        key = ssh_key(tmp_path) if method == "ssh" else passkey()
        assert not both(method, key.public, ACTION, *key.sign(ACTION))


def test_a_signature_by_p256_has_one_form_only() -> None:
    """Numbers out of range and other encodings of the same numbers are refused, as by cryptography."""
    key = passkey()
    signature, signed = key.sign(ACTION)
    r, s = decode_dss_signature(signature)
    order = module._GROUP
    assert both("passkey", key.public, ACTION, der(r, order - s), signed)
    for wrong in (
        *(der(0, s), der(r, 0), der(r + order, s), der(r, s + order), der(order, s), der(r, order)),
        *(signature + b"\0", signature[:-1], b"\x31" + signature[1:], b"\x30\x81" + signature[1:], b"", b"\x30\0"),
        der(r, s, more=b"\0"),
    ):
        assert not both("passkey", key.public, ACTION, wrong, signed), wrong.hex()


def der(*numbers: int, more: bytes = b"") -> bytes:
    """An ECDSA signature; ``more`` goes before each number."""
    parts = [more + number.to_bytes(number.bit_length() // 8 + 1, "big") for number in numbers]
    body = b"".join(bytes((2, len(part))) + part for part in parts)
    return bytes((0x30, len(body))) + body


def test_points_are_on_the_curve() -> None:
    """A point of another curve, or whose coordinates are written beyond the field, is no key."""
    key = passkey()
    proof = key.sign(ACTION)
    cose = parse_cbor(key.public)
    x, y = (int.from_bytes(cose[label], "big") for label in (-2, -3))
    for at in ((x, y + 1), (x + 1, y), (0, 0), (x, module._FIELD - y)):
        assert not both("passkey", pointed(cose, *at), ACTION, *proof)
    assert not proof_holds("passkey", pointed(cose, x + module._FIELD, y), ACTION, *proof)


def pointed(cose: dict[int, Any], x: int, y: int) -> bytes:
    """A COSE key with another point."""
    return bytes(encode_cbor({**cose, -2: x.to_bytes(33, "big"), -3: y.to_bytes(33, "big")}))


@given(st.integers(1, module._GROUP - 1))
def test_multiples_of_the_generator(factor: int) -> None:
    """As cryptography computes them; the group's order times it is neutral."""
    x, y, z = module._multiple(factor, module._GENERATOR)
    inverse = pow(z, -1, module._FIELD)
    told = ec.derive_private_key(factor, ec.SECP256R1()).public_key().public_numbers()
    assert (x * inverse % module._FIELD, y * inverse % module._FIELD) == (told.x, told.y)
    assert module._multiple(module._GROUP, module._GENERATOR)[2] == 0


@given(st.binary(max_size=100))
def test_signatures_by_p256_agree_with_cryptography(message: bytes) -> None:
    """A true one holds, and not for another message."""
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    pair = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    assert module.p256_verify((numbers.x, numbers.y), message, *pair)
    assert not module.p256_verify((numbers.x, numbers.y), message + b"1", *pair)


def test_padding_of_rsa_is_compared_to_the_last_byte() -> None:
    """With the exponent 3 a block with room at its end can be made by a cube root (Bleichenbacher 2006): it is none."""
    told = b"\0\1" + b"\xff" * 8 + b"\0" + module._DIGEST_INFO["sha256"] + hashlib.sha256(b"x").digest()
    modulus, wanted = (1 << 3071) + 1, int.from_bytes(told + bytes(384 - len(told)), "big")
    root = 1 << 1024
    for bit in reversed(range(1024)):
        root -= (1 << bit) if (root - (1 << bit)) ** 3 >= wanted else 0
    assert (root**3).to_bytes(384, "big").startswith(told)
    assert not module.rsa_verify(modulus, 3, "sha256", b"x", root.to_bytes(384, "big"))


def test_short_keys_and_large_numbers_of_rsa() -> None:
    """A key below 2048 bits is none, nor is a signature that is not below the modulus, or not of its length."""
    key = passkey("RS256")
    signature, signed = key.sign(ACTION)
    modulus = int.from_bytes(parse_cbor(key.public)[-1], "big")
    assert both("passkey", key.public, ACTION, signature, signed)
    more = int.from_bytes(signature, "big") + modulus
    for wrong in (b"\0" + signature, signature[1:], more.to_bytes(257, "big")):
        assert not both("passkey", key.public, ACTION, wrong, signed)
    small = rsa.generate_private_key(65537, 1024)
    short = small.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
    assert not module.rsa_verify(small.public_key().public_numbers().n, 65537, "sha256", b"x", short)
    for about in (action("approve", "a", str(n)) for n in range(1000)):
        signature, signed = key.sign(about)
        more = int.from_bytes(signature, "big") + modulus
        if more < 1 << 2048:
            break
    assert both("passkey", key.public, about, signature, signed)
    assert not both("passkey", key.public, about, more.to_bytes(256, "big"), signed)


def test_a_key_is_what_its_types_say() -> None:
    """Text where a string of bytes belongs, a label twice, what follows, what is nested: no keys."""
    key = passkey("EdDSA")
    proof = key.sign(ACTION)
    assert both("passkey", key.public, ACTION, *proof)
    cose = parse_cbor(key.public)
    for wrong in (
        encode_cbor({**cose, -2: "x" * 32}),
        key.public.replace(b"\x58\x20", b"\x78\x20"),
        b"\xa5\x01\x01" + key.public[1:],
        encode_cbor({**cose, 1: 2}),
        encode_cbor({**cose, 3: -7}),
        encode_cbor([*cose]),
        key.public[:-1],
    ):
        assert not both("passkey", bytes(wrong), ACTION, *proof)
    assert not proof_holds("passkey", key.public + b"\0", ACTION, *proof)
    assert not proof_holds("passkey", bytes(encode_cbor({**cose, 9: [1]})), ACTION, *proof)


# in the log

HELD = [*lived(intent("hold"), {**ASKED, "need": SIGNED})]
PERSONS = HELD[:3]


def report(directory: Path, *events: dict[str, Any]) -> module.Report:
    """Of a log in which a signed yes is needed, after ``events``, and used."""
    return verify(tell(directory / "data", *HELD, *events, USED))


def findings(found: module.Report) -> str:
    """Its findings of approvals, in one text."""
    return "; ".join(str(each) for each in found.findings if each.check == "approvals")


@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_yes_counts(tmp_path: Path, kind: str) -> None:
    """By each kind of key, in a log that holds."""
    (tmp_path / "keys").mkdir()
    key = made(kind, tmp_path / "keys")
    found = report(tmp_path, key.enrolled, {**YES, **key.signs("approve", "a", "d")})
    assert found.status == 0, found.findings
    assert any("1 yes signed, 0 not" in check.sentence for check in found.checks)
    fingerprint = base64.b64encode(hashlib.sha256(key.public).digest()).decode().rstrip("=")
    assert f"u_bob SHA256:{fingerprint} (leaf {len(HELD) + 1})." in " ".join(found.unproven)


EVE = passkey()
WRONG: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "no signature": ("does not hold", [BOB.enrolled, {**YES, "how": "passkey", "key": BOB.id}]),
    "no key": ("not enrolled", [BOB.enrolled, {**PROVEN, "key": ""}]),
    "not base64": ("malformed", [BOB.enrolled, {**PROVEN, "sig": PROVEN["sig"][:-1] + "!"}]),
    "nothing that was signed": ("does not hold", [BOB.enrolled, {**PROVEN, "sgd": ""}]),
    "a key that nobody enrolled": ("not enrolled", [PROVEN]),
    "a key enrolled later": ("not enrolled", [PROVEN, BOB.enrolled]),
    "a key revoked before": ("not enrolled", [BOB.enrolled, BOB.revoked, PROVEN]),
    "a key of somebody else": ("not enrolled", [{**BOB.enrolled, "sub": "u_dave"}, PROVEN]),
    "a key of another method": ("not enrolled", [BOB.enrolled, {**PROVEN, "how": "ssh"}]),
    "a key without its public half": ("not enrolled", [{**BOB.enrolled, "pub": ""}, PROVEN]),
    "another's signature": ("does not hold", [BOB.enrolled, {**YES, **EVE.signs("approve", "a", "d")}]),
    "another approval": ("does not hold", [BOB.enrolled, {**YES, **BOB.signs("approve", "b", "d")}]),
    "another request": ("does not hold", [BOB.enrolled, {**YES, **BOB.signs("approve", "a", "e")}]),
    "another verb": ("does not hold", [BOB.enrolled, {**YES, **BOB.signs("refuse", "a", "d")}]),
    "somebody else's yes with it": ("not enrolled", [BOB.enrolled, {**DAVE, **BOB.signs("approve", "a", "d")}]),
    "a signature under a password": ("not enrolled", [BOB.enrolled, {**PROVEN, "how": "password"}]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_forged_yes_does_not_count(tmp_path: Path, name: str) -> None:
    """It is said with its leaf, and what it was used for had no yes."""
    text, events = WRONG[name]
    found = report(tmp_path, *events)
    assert found.status == 1
    assert text in findings(found) and "not granted before" in findings(found)
    assert any(each.index == len(HELD) + 1 + events.index(next(e for e in events if e["k"] == "approval.granted"))
               for each in found.findings)  # fmt: skip


def test_a_key_revoked_afterwards_leaves_its_yes(tmp_path: Path) -> None:
    """What was signed before stays."""
    assert report(tmp_path, BOB.enrolled, PROVEN, BOB.revoked).status == 0


def test_a_forged_yes_does_not_count_beside_a_true_one(tmp_path: Path) -> None:
    """Two are needed: one is not enough because the other is forged."""
    need = [{"groups": ["dba"], "count": 2, "rule": "r"}]
    events = lived(intent("hold"), {**ASKED, "need": need})
    forged = {**DAVE, **BOB.signs("approve", "a", "d")}
    assert verify(tell(tmp_path / "one", *events, BOB.enrolled, PROVEN, DAVE, USED)).status == 0
    found = verify(tell(tmp_path / "two", *events, BOB.enrolled, PROVEN, forged, USED))
    assert found.status == 1 and "without enough different people" in findings(found)


def test_unsigned_ones_are_named_in_the_report(tmp_path: Path) -> None:
    """How many of each, and which leaves are the gateway's word alone."""
    need = [{"groups": ["dba"], "count": 2, "rule": "r"}]
    events = lived(intent("hold"), {**ASKED, "need": need})
    found = verify(tell(tmp_path / "data", *events, BOB.enrolled, PROVEN, {**DAVE, "how": "password"}, USED))
    assert found.status == 0
    assert "1 yes signed, 1 not" in module.render(found)
    assert f"a yes is the gateway's word alone: leaves {len(events) + 3}." in " ".join(found.unproven)


def test_an_emergency_is_opened_by_its_own_signature(tmp_path: Path) -> None:
    """If it carries one, over the resource; else nobody has opened it."""
    alice = passkey(subject="u_alice")
    signed = {**GLASS, **alice.signs("break-glass", "shop")}
    others = {**GLASS, **alice.signs("break-glass", "bank")}
    assert verify(tell(tmp_path / "a", *PERSONS, alice.enrolled, signed, BROKE)).status == 0
    for n, events in enumerate(([alice.enrolled, others], [signed], [alice.enrolled, {**GLASS, "how": "ssh"}])):
        found = verify(tell(tmp_path / str(n), *PERSONS, *events, BROKE))
        assert found.status == 1 and "no glass was broken" in str(found.findings)
