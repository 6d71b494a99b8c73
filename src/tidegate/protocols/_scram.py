"""The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), as pure steps.

Why own code: 60 lines of hmac beat a dependency. Invariants: the server proves that it knows the password before the
exchange counts as done, and it cannot make the gateway hash for ever or reveal a cheaply guessed proof. With channel
binding the proof is good on one TLS connection only, so nobody in the middle can pass it on. Nothing here keeps or
shows the password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata

from cryptography import x509
from cryptography.hazmat.primitives.hashes import MD5, SHA1

from tidegate.errors import ResourceError

MECHANISM, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
FEWEST, MOST = 4096, 1_000_000
"""Bounds on the iteration count: RFC 7677 section 4 sets the lower one."""


class Scram:
    """One exchange: ``first``, then ``final`` (blocking, tens of milliseconds), then ``check``.

    ``binding`` is the channel's for SCRAM-SHA-256-PLUS; without it ``able`` says that there could have been one.
    """

    def __init__(self, password: str, nonce: str, *, able: bool = False, binding: bytes = b"") -> None:
        self._password = prepared(password).encode()
        self._nonce = nonce
        self._bare = f"n=,r={nonce}"
        self._header = "p=tls-server-end-point,," if binding else "y,," if able else "n,,"
        self._bound = base64.b64encode(self._header.encode() + binding).decode()
        self._signature = b""

    def __repr__(self) -> str:
        return "Scram()"

    def first(self) -> bytes:
        """The client-first-message; the user name is the protocol's own."""
        return f"{self._header}{self._bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """The client-final-message with the proof. Raises ResourceError."""
        text, fields = _fields(server_first)
        nonce, salt, rounds = fields.get("r", ""), _decoded(fields.get("s", "")), fields.get("i", "")
        if not nonce.startswith(self._nonce) or len(nonce) <= len(self._nonce) or not salt:
            raise _broken("its challenge does not continue ours")
        if not rounds.isdecimal() or len(rounds) > 7 or not FEWEST <= int(rounds) <= MOST:
            raise _broken("its iteration count is out of bounds")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, salt, int(rounds))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c={self._bound},r={nonce}"
        said = f"{self._bare},{text},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), said, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final: bytes) -> None:
        """Raises ResourceError unless the server has proven that it knows the password."""
        _, fields = _fields(server_final)
        if not self._signature or not hmac.compare_digest(self._signature, _decoded(fields.get("v", ""))):
            raise _broken("it could not prove that it knows the password")


def end_point(certificate: bytes) -> bytes:
    """The channel binding ``tls-server-end-point`` of a server's certificate in DER (RFC 5929 section 4.1).

    Raises ResourceError when the certificate's signature has no hash, for which that is not defined.
    """
    try:
        used = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except ValueError:
        used = None
    if used is None:
        raise _broken("its certificate cannot be bound to the login")
    return hashlib.new("sha256" if isinstance(used, MD5 | SHA1) else used.name, certificate).digest()


def prepared(password: str) -> str:
    """SASLprep (RFC 4013); a password that it forbids is used as it is, as the server does."""
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter for letter in password if not stringprep.in_table_b1(letter)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    return password if not normal or any(map(_forbidden, normal)) else normal


def _forbidden(letter: str) -> bool:
    return (
        stringprep.in_table_c12(letter)
        or stringprep.in_table_c21_c22(letter)
        or stringprep.in_table_c3(letter)
        or stringprep.in_table_c4(letter)
        or stringprep.in_table_c5(letter)
        or stringprep.in_table_c6(letter)
        or stringprep.in_table_c7(letter)
        or stringprep.in_table_c8(letter)
        or stringprep.in_table_c9(letter)
        or stringprep.in_table_a1(letter)
    )


def _fields(message: bytes) -> tuple[str, dict[str, str]]:
    try:
        text = message.decode("ascii")
    except UnicodeDecodeError:
        raise _broken("its message is not text") from None
    parts = (part.partition("=") for part in text.split(","))
    return text, {key: value for key, _, value in parts}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _broken(why: str) -> ResourceError:
    return ResourceError(
        f"The resource's server does not keep to {MECHANISM}: {why}.",
        hint="An operator should check that the address leads to the right server.",
        code="resource.login",
    )
