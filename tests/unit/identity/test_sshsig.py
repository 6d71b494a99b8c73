"""Signatures that the real ssh-keygen makes, and what must not pass for one."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tidegate.errors import AgentError
from tidegate.identity import sshsig

MESSAGE = b"tidegate action v1\nconnect\nshop\nnonce 00"
KINDS = {"ed25519": [], "ecdsa": ["-b", "256"], "rsa": ["-b", "2048"]}


def made(directory: Path, kind: str, *arguments: str) -> Path:
    """A fresh key of the real ssh-keygen."""
    key = directory / f"key-{kind}-{len(list(directory.iterdir()))}"
    run("ssh-keygen", "-q", "-t", kind, *arguments, "-N", "", "-C", f"{kind} of alice", "-f", str(key))
    return key


def run(*command: str, text: bytes = b"") -> bytes:
    """What a command prints."""
    return subprocess.run(command, input=text, capture_output=True, check=True).stdout


def signed(key: Path, message: bytes = MESSAGE, namespace: str = "tidegate", *options: str) -> str:
    """The armoured signature of the real ssh-keygen."""
    return run("ssh-keygen", "-q", "-Y", "sign", *options, "-n", namespace, "-f", str(key), text=message).decode()


def public(key: Path) -> sshsig.PublicKey:
    """A key's public half."""
    return sshsig.public_key(key.with_suffix(".pub").read_text())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hashed", ["sha256", "sha512"])
def test_what_ssh_keygen_signs_holds(tmp_path: Path, kind: str, hashed: str) -> None:
    """Of each kind of key and hash; for this message, this key and this namespace only."""
    key, other = made(tmp_path, kind, *KINDS[kind]), made(tmp_path, kind, *KINDS[kind])
    signature = signed(key, MESSAGE, "tidegate", "-O", f"hashalg={hashed}")
    assert sshsig.verify(public(key).blob, MESSAGE, signature) == 0
    assert sshsig.verify(public(key).blob, MESSAGE + b"1", signature) is None
    assert sshsig.verify(public(other).blob, MESSAGE, signature) is None
    assert sshsig.verify(public(key).blob, MESSAGE, signed(key, MESSAGE, "git")) is None


def test_key_is_as_ssh_keygen_names_it(tmp_path: Path) -> None:
    """The fingerprint and the comment."""
    key = made(tmp_path, "ed25519")
    shown = run("ssh-keygen", "-l", "-f", str(key)).decode().split(" ", 2)
    assert (public(key).fingerprint, public(key).comment) == (shown[1], "ed25519 of alice")


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    """No byte of a signature can be another."""
    key = made(tmp_path, "ed25519")
    lines = signed(key).strip().splitlines()
    raw = base64.b64decode("".join(lines[1:-1]))
    for at in range(len(raw)):
        forged = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        assert sshsig.verify(public(key).blob, MESSAGE, armoured(forged)) is None, at
    assert sshsig.verify(public(key).blob, MESSAGE, armoured(raw + b"\0")) is None
    assert sshsig.verify(public(key).blob, MESSAGE, armoured(raw[:-1])) is None


def armoured(raw: bytes) -> str:
    """A signature as text."""
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(raw).decode()}\n-----END SSH SIGNATURE-----\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "-----BEGIN SSH SIGNATURE-----\n!!\n-----END SSH SIGNATURE-----",
        "A" * 100_000,
        armoured(b"SSHSIG"),
    ],
)
def test_what_is_no_signature_is_none(tmp_path: Path, text: str) -> None:
    """Whatever is sent, the answer is no."""
    assert sshsig.verify(public(made(tmp_path, "ed25519")).blob, MESSAGE, text) is None


def test_other_keys_are_refused(tmp_path: Path) -> None:
    """Curves and kinds beyond the list, and RSA keys that are too short."""
    lines = [made(tmp_path, "ecdsa", "-b", "384").with_suffix(".pub").read_text()]
    lines += [made(tmp_path, "rsa", "-b", "1024").with_suffix(".pub").read_text()]
    good = made(tmp_path, "ed25519").with_suffix(".pub").read_text()
    lines += [good.replace("ssh-ed25519", "ssh-rsa"), good.split()[0], good + good, "", "ssh-ed25519 !!", "x " * 99_999]
    for line in lines:
        with pytest.raises(AgentError) as caught:
            sshsig.public_key(line)
        assert caught.value.code == "request.key"


# Security keys: OpenSSH signs with them only with the device at hand, so these are made as PROTOCOL.u2f says.


def string(value: bytes) -> bytes:
    """RFC 4251 section 5."""
    return len(value).to_bytes(4, "big") + value


def of_security_key(kind: str, *, flags: int = 1, counter: int = 7) -> tuple[sshsig.PublicKey, str]:
    """A security key, and its signature over the message."""
    rest = bytes([flags]) + counter.to_bytes(4, "big")
    over = b"SSHSIG" + b"".join(map(string, (b"tidegate", b"", b"sha512", hashlib.sha512(MESSAGE).digest())))
    signed = hashlib.sha256(b"ssh:").digest() + rest + hashlib.sha256(over).digest()
    if kind == "sk-ssh-ed25519@openssh.com":
        key = ed25519.Ed25519PrivateKey.generate()
        body = string(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        value = key.sign(signed)
    else:
        curve = ec.generate_private_key(ec.SECP256R1())
        point = curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        body = string(b"nistp256") + string(point)
        numbers = decode_dss_signature(curve.sign(signed, ec.ECDSA(hashes.SHA256())))
        value = b"".join(string(number.to_bytes(33, "big")) for number in numbers)
    blob = string(kind.encode()) + body + string(b"ssh:")
    inner = string(kind.encode()) + string(value) + rest
    raw = b"SSHSIG\0\0\0\1" + b"".join(map(string, (blob, b"tidegate", b"", b"sha512", inner)))
    return sshsig.public_key(f"{kind} {base64.b64encode(blob).decode()} token"), armoured(raw)


@pytest.mark.parametrize("kind", ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"])
def test_security_keys(kind: str) -> None:
    """They hold when somebody touched them, and tell their counter."""
    key, signature = of_security_key(kind)
    assert sshsig.verify(key.blob, MESSAGE, signature) == 7
    assert sshsig.verify(key.blob, MESSAGE + b"1", signature) is None
    untouched, signature = of_security_key(kind, flags=4)
    assert sshsig.verify(untouched.blob, MESSAGE, signature) is None


def test_real_ssh_keygen_agrees_about_security_keys(tmp_path: Path) -> None:
    """The signature that these tests make up is one that OpenSSH accepts."""
    key, signature = of_security_key("sk-ssh-ed25519@openssh.com")
    (tmp_path / "allowed").write_text(f"alice sk-ssh-ed25519@openssh.com {base64.b64encode(key.blob).decode()}\n")
    (tmp_path / "signature").write_text(signature)
    checked = ("-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "alice", "-n", "tidegate")
    assert b"Good" in run("ssh-keygen", *checked, "-s", str(tmp_path / "signature"), text=MESSAGE)
