"""What a provider says of somebody, read into ``External``: whatever its form, bounded, and never more than it says.

Claims and attributes are the provider's texts: a group counts only as exactly the text it is, an e-mail address only if
the provider vouches for it, and a name is only a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tidegate.model.identity import External
from tidegate.settings_login import Joining

from .providers import unusable

SUBJECT, TEXT, GROUPS = 255, 256, 2000
"""Most characters of a subject (OpenID Connect Core 1.0 section 2) and of other texts; most groups."""

_NAMES = ("preferred_username", "uid", "urn:oid:0.9.2342.19200300.100.1.1", "name")


def external(
    provider: str,
    proof: str,
    subject: object,
    said: Mapping[str, Any],
    joining: Joining,
    *,
    verified: bool,
    authenticated: int,
) -> External:
    """Somebody as the provider knows them. ``verified`` is whether it vouches for the address.

    Raises AgentError ``login.answer`` when there is no subject, or it is not a plain text.
    """
    if not isinstance(subject, str) or not plain(subject) or len(subject) > SUBJECT:
        raise unusable("it does not say who you are")
    email = one(said.get(joining.email_claim)).lower() if verified or joining.trusted_email else ""
    wanted = (joining.name_claim,) if joining.name_claim else _NAMES
    name = next((found for claim in wanted if (found := one(said.get(claim)))), "")
    groups = tuple(sorted(set(texts(said.get(joining.groups_claim)))))
    return External(provider, subject, name or email.partition("@")[0], email, groups, proof, authenticated)


def texts(value: object) -> Iterable[str]:
    """The texts in a claim that has one or several; what is no plain text, or is beyond the limits, is left out."""
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items[:GROUPS] if isinstance(item, str) and len(item) <= TEXT and plain(item)]


def one(value: object) -> str:
    """The text in a claim that has exactly one, else an empty one."""
    found = list(texts(value))
    return found[0] if len(found) == 1 and (not isinstance(value, list | tuple) or len(value) == 1) else ""


def plain(text: str) -> bool:
    """Whether it has something in it, no control characters, and no white space around it."""
    return bool(text) and text == text.strip() and text.isprintable()
