"""A real Vault for this folder's tests, and what the gateway is told about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.secrets.vault import Vault
from tidegate.settings_vault import Vault as Settings
from vault import Bao


@pytest.fixture(scope="module")
def bao() -> Iterator[Bao]:
    """A server with one secret."""
    with Bao() as started:
        started.put("shop", password="hunter2-hunter2", number="7")
        yield started


class Words(dict[str, str]):
    """What references stand for; the object is the resolver itself."""

    __call__ = dict.__getitem__


def settings(bao: Bao, method: str = "approle", **words: str) -> Settings:
    """The section ``vault``, with each word under a reference of its name."""
    role = "reader" if method == "jwt" else ""
    return Settings(bao.address, "", "", method, method, role, {name: f"env:{name}" for name in words})


def entered(bao: Bao, method: str = "approle", **words: str) -> tuple[Vault, Words]:
    """A Vault as the gateway sees it, and the words it logs in with, which may change."""
    known = Words({f"env:{name}": value for name, value in words.items()})
    return Vault(settings(bao, method, **words), known), known
