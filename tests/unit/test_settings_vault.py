"""The section `vault`, and references in tidegate.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.settings import Settings, load

BASIC = f"""\
organisation: example.org
gateway: gw1
policy: {{files: [policy.yaml]}}
recording: {{auditors: [age1{"q" * 58}]}}
"""
SHOP = "resources: {shop: {protocol: any, address: '127.0.0.1:1', secret: 'SECRET'USER}}\n"
VAULT = "vault: {address: ADDRESS, auth: {AUTH}}\n"
APPROLE = "method: approle, role_id: env:ROLE, secret_id: file:secret-id"


def loaded(tmp_path: Path, text: str) -> Settings:
    """Settings from text."""
    path = tmp_path / "tidegate.yaml"
    path.write_text(BASIC + text)
    return load(path)


def vault(auth: str = APPROLE, address: str = "https://vault.example.org:8200") -> str:
    """The section."""
    return VAULT.replace("ADDRESS", f"'{address}'").replace("AUTH", auth)


def test_approle(tmp_path: Path) -> None:
    """What the method sends stays a reference; the mount is the method's name unless it is given."""
    found = loaded(tmp_path, vault(address="https://vault.example.org:8200/")).vault
    assert found is not None
    assert (found.address, found.mount) == ("https://vault.example.org:8200", "approle")
    assert found.words == {"role_id": "env:ROLE", "secret_id": "file:secret-id"}


def test_a_workloads_own_token(tmp_path: Path) -> None:
    """Any platform's: the mount says which."""
    found = loaded(tmp_path, vault("method: jwt, mount: team/cluster, role: tidegate, jwt: file:/run/token")).vault
    assert found is not None
    assert (found.method, found.mount, found.role, found.words) == (
        "jwt", "team/cluster", "tidegate", {"jwt": "file:/run/token"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (vault(address="http://vault.example.org:8200"), "plain HTTP"),
        (vault(address="ftp://127.0.0.1"), "must be an address"),
        (vault(address="https://user:word@vault.example.org"), "must be an address"),
        (vault(address="https://vault.example.org/v1"), "must be an address"),
        (vault(address="https://vault.example.org:high"), "must be an address"),
        (vault("method: approle, role_id: env:ROLE"), "needs role_id and secret_id"),
        (vault("method: token, token: env:T, secret_id: env:S"), "needs token, and nothing else"),
        (vault("method: token, token: env:T, role: r"), "needs token, and nothing else"),
        (vault("method: jwt, jwt: env:J"), "needs jwt and role"),
        (vault("method: token, token: s.1234567890"), "never written here"),
        (vault("method: userpass"), "must be one of"),
        (SHOP.replace("SECRET", "vault:secret/shop#password").replace("USER", ""), "no `vault:` is configured"),
        (vault() + SHOP.replace("SECRET", "vault:database/creds/shop").replace("USER", ", user: me"), "leave `user`"),
        (vault() + SHOP.replace("SECRET", "vault:secret/shop").replace("USER", ""), "never written here"),
        (vault() + SHOP.replace("SECRET", "vault:secret/../x#y").replace("USER", ""), "never written here"),
        (vault() + SHOP.replace("SECRET", "store:Shop").replace("USER", ""), "never written here"),
    ],
)
def test_what_is_refused(tmp_path: Path, section: str, says: str) -> None:
    """The complaint names the line and repeats nothing that could be a secret."""
    with pytest.raises(ConfigError, match=says) as error:
        loaded(tmp_path, section)
    assert "tidegate.yaml:" in error.value.path
    assert "s.1234567890" not in str(error.value)


@pytest.mark.parametrize(
    "reference", ["vault:secret/team/shop#password", "vault:database/static-creds/shop", "vault:database/creds/shop"]
)
def test_references_of_vault(tmp_path: Path, reference: str) -> None:
    """Each kind is accepted."""
    settings = loaded(tmp_path, vault() + SHOP.replace("SECRET", reference).replace("USER", ""))
    assert settings.resources["shop"].secret == reference
