"""References and credentials."""

from __future__ import annotations

import pytest

from tidegate.model.secret import Credential, Reference, parse


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("env:SHOP_PASSWORD", Reference("env", "SHOP_PASSWORD")),
        ("file:/run/secrets/shop", Reference("file", "/run/secrets/shop")),
        ("store:shop", Reference("store", "shop")),
        ("vault:secret/team/shop#password", Reference("vault", "team/shop", "secret", "password")),
        ("vault:database/creds/shop", Reference("vault", "creds/shop", "database")),
        ("vault:database/static-creds/shop", Reference("vault", "static-creds/shop", "database")),
    ],
)
def test_parts(text: str, parts: Reference) -> None:
    """Each kind is taken apart."""
    assert parse(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "env:",
        "env:A-B",
        "file:",
        "store:../shop",
        "store:",
        "vault:secret#password",
        "vault:secret/shop",
        "vault:secret/shop#",
        "vault:secret//shop#password",
        "vault:secret/./shop#password",
        "vault:secret/../sys/raw#x",
        "vault:../creds/shop",
        "vault:database/creds/..",
        "vault:database/creds/a/b",
        "vault:secret/shop?x=y#password",
        "vault:secret/shop#pass word",
        "vault:secret/shop#password\n",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    """A path cannot lead out of its mount, and nothing else slips through."""
    assert parse(text) is None


def test_what_a_reference_gives() -> None:
    """A password, or user and password, or an account that ends."""
    kinds = ("vault:secret/shop#password", "vault:database/static-creds/shop", "vault:database/creds/shop")
    found = [parse(text) for text in kinds]
    assert [(each.whole, each.leased) for each in found if each] == [(False, False), (True, False), (True, True)]


def test_a_credential_shows_no_password() -> None:
    """Neither in a log nor in an error; accounts of one source count as one login."""
    credential = Credential("gw", "hunter2-hunter2", frozenset({"gw-2"}))
    assert "hunter2" not in repr(credential)
    assert [credential.own(user) for user in ("gw", "gw-2", "postgres")] == [True, True, False]
