"""How somebody has just proven that they are there, for one action and no other.

A cached login proves only that somebody once logged in: whatever runs under the same account can use it. What needs
the person (approving, refusing, opening a resource as themselves, break-glass) therefore needs a proof over the exact
action, made now: a password, a one-time password, a passkey, an ssh key, or a fresh login at the provider.
"""

from __future__ import annotations

from dataclasses import dataclass, field


def action(verb: str, *about: str) -> bytes:
    """The exact bytes that a proof is about, such as ``action("approve", id, digest)``; a signature is made over them.

    No part may hold a line break, so that no two actions have the same bytes. Raises ValueError.
    """
    parts = (verb, *about)
    if any("\n" in part for part in parts):
        raise ValueError("a part of an action has a line break")
    return "\n".join(("tidegate action v1", *parts)).encode()


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that holds. ``method`` is ``password``, ``totp``, ``passkey``, ``ssh`` or ``login`` (at the provider).
    ``slack`` is none of these: it says that a button was pressed there by whom an administrator linked, which policy
    may take for a plain yes.

    ``key`` names the credential (its id in the store). A passkey or ssh key leaves a ``signature`` that anybody can
    check later with the public key in its ``cred.enrolled`` leaf: ``signed`` is all that is needed besides the action.
    """

    method: str
    key: str = ""
    signature: bytes = field(default=b"", repr=False)
    signed: bytes = field(default=b"", repr=False)
