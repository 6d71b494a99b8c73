"""Every kind of reference, read at the moment of use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tidegate.errors import ConfigError, ResourceError, TidegateError
from tidegate.model.event import Json
from tidegate.model.secret import Credential
from tidegate.secrets.source import Secrets
from tidegate.settings import Settings
from tidegate.settings_vault import Vault
from unit.secrets.conftest import settings
from vault import Bao


class Shelf(dict[str, str]):
    """Secrets that the gateway keeps."""

    def value(self, name: str) -> str:
        if name not in self:
            raise ConfigError(f"the secret store:{name} is not there", code="secret.missing")
        return self[name]


def secrets(base: Path, shelf: Mapping[str, str] | None = None, vault: Vault | None = None) -> Secrets:
    """All of them."""

    def record(kind: str, fields: Mapping[str, Json]) -> None:
        raise AssertionError("nothing is leased here")

    async def durable() -> None:
        raise AssertionError("nothing is leased here")

    return Secrets(cast(Settings, SimpleNamespace(base=base, vault=vault)), Shelf(shelf or {}), record, durable)


def taken(source: Secrets, text: str, user: str = "gw") -> Credential:
    """The credential of a reference."""

    async def run() -> Credential:
        try:
            return (await source.take(text, user)).credential
        finally:
            await source.close()

    return asyncio.run(run())


def test_each_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file, variable or kept secret counts at the next use."""
    shelf, source = {"shop": ""}, None
    for value in ("first-value", "second-value"):
        (tmp_path / "password").write_text(value + "\n")
        (tmp_path / "password").chmod(0o600)
        monkeypatch.setenv("SHOP_PASSWORD", value)
        shelf["shop"] = value
        source = source or secrets(tmp_path, shelf)
        source._kept = Shelf(shelf)
        for text in ("file:password", "env:SHOP_PASSWORD", "store:shop"):
            assert taken(source, text) == Credential("gw", value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("env:TIDEGATE_NOT_SET", "config.secret"),
        ("file:nothing", "config.secret"),
        ("store:nothing", "secret.missing"),
        ("vault:secret/shop#password", "config.secret"),
        ("hunter2", "config.secret"),
    ],
)
def test_what_cannot_be_had(tmp_path: Path, text: str, code: str) -> None:
    """The error names the reference, but not what is none: that may be a password in the wrong place."""
    with pytest.raises(TidegateError) as error:
        taken(secrets(tmp_path), text)
    assert error.value.code == code
    assert (text in error.value.message) == (text != "hunter2")


@pytest.mark.parametrize("value", ["with\0nul", "x" * 70_000])
def test_a_value_that_is_no_password(tmp_path: Path, value: str) -> None:
    """It would end a string early, or has no end itself."""
    with pytest.raises(ResourceError, match=r"store:shop.*no user and password") as error:
        taken(secrets(tmp_path, {"shop": value}), "store:shop")
    assert (error.value.code, value in error.value.message) == ("secret.unusable", False)


def test_a_user_of_a_hostile_provider(tmp_path: Path) -> None:
    """A user name cannot carry another parameter of the login."""
    with pytest.raises(ResourceError, match="no user and password"):
        taken(secrets(tmp_path, {"shop": "hunter2-hunter2"}), "store:shop", user="gw\0options\0-c x=y")


def test_vault(bao: Bao, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field of a secret in its newest version."""
    words = bao.approle()
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    section = settings(bao, **words)
    for value in ("hunter2-hunter2", "hunter3-hunter3"):
        bao.put("shop", password=value)
        assert taken(secrets(tmp_path, vault=section), "vault:secret/shop#password") == Credential("gw", value)
    with pytest.raises(ConfigError, match=r"vault:secret/shop#nothing.*no such field"):
        taken(secrets(tmp_path, vault=section), "vault:secret/shop#nothing")
