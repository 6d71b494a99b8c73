"""Passkeys (WebAuthn level 2): enrolling one in a browser, and an assertion that is bound to one action.

The challenge of an assertion is SHA-256 of a nonce and the action's exact bytes, so a signature for one action fits no
other, and whoever has the nonce can check that later. The authenticator must verify its user (fingerprint, PIN); a
counter that does not grow is a copied key. Nothing is believed about where a passkey was made: no attestation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

SIZE_LIMIT = 32 * 1024
"""Most characters of what a browser answers."""

PATIENCE = 120_000
"""Milliseconds that a browser waits for its user."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """An enrolled passkey: the browser's name for it, the public key (COSE, RFC 9052), and its counter."""

    id: bytes
    key: bytes
    counter: int


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator signed: ``signed`` is ``authenticatorData`` and the SHA-256 of ``client``."""

    counter: int
    signature: bytes
    authenticator: bytes
    client: bytes


class Passkeys:
    """For pages at ``origin``, such as ``https://gateway.example.org``; its host is the relying party's id."""

    def __init__(self, origin: str, organisation: str) -> None:
        parts = urlsplit(origin)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname or ""
        self._organisation = organisation

    def registration(self, subject: str, name: str, challenge: bytes, known: Sequence[Passkey]) -> dict[str, Any]:
        """What ``navigator.credentials.create`` takes, as JSON."""
        options = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name=self._organisation,
            user_id=subject.encode(),
            user_name=name,
            challenge=challenge,
            timeout=PATIENCE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=each.id) for each in known],
        )
        return dict(json.loads(webauthn.options_to_json(options)))

    def registered(self, answer: str, challenge: bytes) -> Passkey | None:
        """The passkey that a browser made for ``challenge``; None when the answer does not hold."""
        if len(answer) > SIZE_LIMIT:
            return None
        try:
            found = webauthn.verify_registration_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except Exception:  # whatever a parser of foreign bytes raises, the answer does not hold
            return None
        return Passkey(found.credential_id, found.credential_public_key, found.sign_count)

    def options(self, challenge: bytes, known: Sequence[Passkey]) -> dict[str, Any]:
        """What ``navigator.credentials.get`` takes, as JSON."""
        options = webauthn.generate_authentication_options(
            rp_id=self._host,
            challenge=challenge,
            timeout=PATIENCE,
            allow_credentials=[PublicKeyCredentialDescriptor(id=each.id) for each in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return dict(json.loads(webauthn.options_to_json(options)))

    def asserted(self, answer: str, challenge: bytes, passkey: Passkey) -> Assertion | None:
        """What ``passkey`` signed for ``challenge``; None when the answer does not hold."""
        if len(answer) > SIZE_LIMIT:
            return None
        try:
            found = webauthn.verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=passkey.key,
                credential_current_sign_count=passkey.counter,
                require_user_verification=True,
            )
            response = json.loads(answer)["response"]
            parts = [
                base64url_to_bytes(response[name]) for name in ("signature", "authenticatorData", "clientDataJSON")
            ]
        except Exception:  # as above
            return None
        if found.credential_id != passkey.id:
            return None
        return Assertion(found.new_sign_count, *parts)


def challenge(nonce: bytes, action: bytes) -> bytes:
    """What an authenticator signs for an action: SHA-256 of the nonce (32 bytes) and the action."""
    return hashlib.sha256(nonce + action).digest()


def named(answer: str) -> bytes:
    """The browser's name of the passkey that answered; empty when it says none."""
    try:
        return base64url_to_bytes(str(json.loads(answer)["id"])) if len(answer) <= SIZE_LIMIT else b""
    except _MALFORMED:
        return b""


def stored(passkey: Passkey) -> bytes:
    """A passkey as it is kept, without its counter."""
    return json.dumps({"id": bytes_to_base64url(passkey.id), "key": bytes_to_base64url(passkey.key)}).encode()


def read(data: bytes, counter: int) -> Passkey:
    """What ``stored`` gave."""
    value = json.loads(data)
    return Passkey(base64url_to_bytes(value["id"]), base64url_to_bytes(value["key"]), counter)


_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What a parser may raise at an answer that is none."""
