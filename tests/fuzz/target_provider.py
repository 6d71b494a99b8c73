"""What identity providers send, and whoever pretends to be one: tokens, sets of keys, SAML documents.

Input: a byte that picks what it is, then the bytes. Whatever comes is understood or refused in the one way that there
is for it; what is understood keeps to the rules that verification relies on.
"""

from __future__ import annotations

from contextlib import suppress

from tidegate.errors import AgentError
from tidegate.identity.jws import ALGORITHMS, KEYS, public_keys, read
from tidegate.identity.saml_document import DS, SAML, demand_shape, plain_xml, said


def target(data: bytes) -> None:
    """One answer, read as what its first byte says."""
    kind, rest = data[:1], data[1:]
    if kind == b"t":
        _token(rest.decode("latin-1"))
    elif kind == b"k":
        _keys(rest)
    else:
        _document(rest)


def _token(text: str) -> None:
    with suppress(AgentError):
        token = read(text)
        assert token.algorithm in ALGORITHMS
        assert isinstance(token.claims, dict)
        assert text.encode().startswith(token.signed)


def _keys(data: bytes) -> None:
    with suppress(ValueError):
        keys = public_keys(data)
        assert len(keys) <= KEYS
        assert not any(key.key.is_private for key in keys)


def _document(data: bytes) -> None:
    with suppress(AgentError):
        root = plain_xml(data)
        assertion = demand_shape(root)
        assert [each for each in root.iter() if each.tag == SAML + "Assertion"] == [assertion]
        assert [each.getparent() for each in root.iter(DS + "Signature")] == [root, assertion]
        found = said(root, assertion)
        assert found.id
        assert found.ends
