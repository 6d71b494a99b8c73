"""What is read at a real Vault, and the gateway's token there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
import joserfc.jwk
import joserfc.jwt
import pytest

from tidegate.errors import ConfigError, ResourceError
from tidegate.model.secret import Reference, parse
from tidegate.secrets.exchange import Answer
from tidegate.secrets.vault import Life, Vault
from unit.secrets.conftest import entered
from vault import ROOT, Bao

T = TypeVar("T")
PASSWORD = "hunter2-hunter2"


def reference(text: str = "vault:secret/shop#password") -> Reference:
    """A reference taken apart."""
    found = parse(text)
    assert found is not None
    return found


def using(vault: Vault, question: Callable[[Vault], Awaitable[T]]) -> T:
    """Ask, and log out."""

    async def run() -> T:
        try:
            return await question(vault)
        finally:
            await vault.close()

    return asyncio.run(run())


def tokens(bao: Bao) -> int:
    """How many tokens the server knows."""
    answer = httpx2.request("LIST", f"{bao.address}/v1/auth/token/accessors", headers={"x-vault-token": ROOT})
    return len(answer.json()["data"]["keys"])


def test_a_field_is_read_and_the_token_given_back(bao: Bao) -> None:
    """Nothing is left behind at the server."""
    vault, _ = entered(bao, **bao.approle())
    before = tokens(bao)
    assert using(vault, lambda v: v.field(reference())) == PASSWORD
    assert tokens(bao) == before


def test_one_login_serves_many(bao: Bao) -> None:
    """Questions at the same time share a token."""
    vault, _ = entered(bao, **bao.approle())
    before = tokens(bao)

    async def many(v: Vault) -> int:
        assert len(set(await asyncio.gather(*(v.field(reference()) for _ in range(8))))) == 1
        return tokens(bao)

    assert using(vault, many) == before + 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("vault:secret/nothing#password", "secret.missing"),
        ("vault:secret/shop#nothing", "secret.missing"),
        ("vault:elsewhere/shop#password", "secret.denied"),
    ],
)
def test_what_cannot_be_read(bao: Bao, text: str, code: str) -> None:
    """A secret that is not there and one that is not the gateway's are told apart for operators, without values."""
    vault, _ = entered(bao, **bao.approle())
    with pytest.raises((ResourceError, ConfigError)) as error:
        using(vault, lambda v: v.field(reference(text)))
    assert error.value.code == code
    assert PASSWORD not in str(error.value)


def test_a_login_that_is_refused(bao: Bao) -> None:
    """The error says the method and no word of it."""
    vault, _ = entered(bao, role_id="nobody", secret_id="wrong-wrong")
    with pytest.raises(ResourceError, match="refuses the gateway's login by approle") as error:
        using(vault, lambda v: v.field(reference()))
    assert (error.value.code, "wrong" in str(error.value)) == ("secret.denied", False)


def test_a_token_that_vault_has_ended(bao: Bao) -> None:
    """The gateway logs in again and asks once more."""
    vault, _ = entered(bao, **bao.approle())

    async def run(v: Vault) -> str:
        await v.field(reference())
        assert v._token is not None
        bao.call("POST", "auth/token/revoke", token=v._token.value)
        return await v.field(reference())

    assert using(vault, run) == PASSWORD


def test_a_token_by_reference_is_exchanged(bao: Bao) -> None:
    """A token that the operator has replaced counts at once, and is not revoked at the end: it is not the gateway's."""
    first = bao.call("POST", "auth/token/create", policies=["root"], ttl="1h")["auth"]["client_token"]
    vault, words = entered(bao, "token", token=first)

    async def run(v: Vault) -> str:
        await v.field(reference())
        words["env:token"] = "not-a-token"
        with pytest.raises(ResourceError, match="does not know the gateway's token"):
            await v.field(reference())
        words["env:token"] = ROOT
        return await v.field(reference())

    assert using(vault, run) == PASSWORD
    assert bao.call("POST", "auth/token/lookup", token=first)["data"]["ttl"] > 0


def test_a_workloads_own_token(bao: Bao) -> None:
    """Logging in with a JWT of whatever platform the mount trusts."""
    key = joserfc.jwk.ECKey.generate_key("P-256")
    bao.call("POST", "sys/auth/jwt", type="jwt")
    bao.call("POST", "auth/jwt/config", jwt_validation_pubkeys=[key.as_pem(private=False).decode()])
    bao.approle()  # makes the policy
    bao.call(
        "POST", "auth/jwt/role/reader", role_type="jwt", bound_audiences=["vault"], user_claim="sub",
        token_policies="gateway", token_ttl="1h",
    )  # fmt: skip
    words = {"sub": "tidegate", "aud": "vault", "iat": int(time.time()), "exp": int(time.time()) + 300}
    vault, _ = entered(bao, "jwt", jwt=joserfc.jwt.encode({"alg": "ES256"}, words, key))
    assert using(vault, lambda v: v.field(reference())) == PASSWORD


def test_renewed_until_it_grows_old(bao: Bao) -> None:
    """The token is renewed when a third of it has passed; near its longest life another takes its place.

    The old one is given back as soon as no account rests on it.
    """
    vault, _ = entered(bao, **bao.approle(ttl="6s", top="8s"))

    async def run(v: Vault) -> None:
        await v.field(reference())
        first = v._token
        assert first is not None
        while not first.life.last:
            await asyncio.sleep(0.1)
            await v.upkeep()
        assert await v.field(reference()) == PASSWORD
        assert v._token is not first
        second = tokens(bao)
        await v.upkeep()
        assert tokens(bao) == second - 1

    using(vault, run)


def test_whether_an_account_could_be_made(bao: Bao) -> None:
    """A look asks for the right to it and makes none."""
    vault, _ = entered(bao, **bao.approle())
    using(vault, lambda v: v.check(reference("vault:database/creds/shop")))
    vault, _ = entered(bao, **bao.approle())
    with pytest.raises(ResourceError, match="does not let the gateway read there"):
        using(vault, lambda v: v.check(reference("vault:other/creds/shop")))


def test_words_that_cannot_be_read(bao: Bao) -> None:
    """What is wrong with a reference of the login is said as it is."""

    def broken(text: str) -> str:
        raise ConfigError(f"the secret {text} is empty or not set", code="config.secret")

    vault, _ = entered(bao, **bao.approle())
    vault._resolve = broken
    with pytest.raises(ConfigError, match="env:"):
        using(vault, lambda v: v.field(reference()))


def test_life() -> None:
    """When something is due, and when nothing new rests on it."""
    life = Life(30, 130, renewable=True)
    assert not life.due(105) and life.due(115) and not life.ageing(115)
    life.renewed(30, 115)
    assert (life.ends, life.last) == (145, False)
    life.renewed(10, 140)
    assert life.last and life.ageing(141) and not life.due(149)
    assert Life(30, 130, renewable=False).ageing(120) and not Life(30, 130, renewable=False).due(129)
    assert not Life(float("inf"), float("inf"), renewable=False).ageing(1e9)


@pytest.mark.parametrize(
    "changed",
    [
        {"lease_id": ""},
        {"lease_id": "x" * 1000},
        {"lease_id": "database/creds/\0"},
        {"lease_id": 7},
        {"lease_duration": 0},
        {"lease_duration": -1},
        {"lease_duration": 10**30},
        {"lease_duration": True},
        {"lease_duration": "60"},
        {"data": {"username": "gw\0options\0-c x=y", "password": PASSWORD}},
        {"data": {"username": "u" * 1000, "password": PASSWORD}},
        {"data": {"username": "gw", "password": ""}},
        {"data": {"username": "gw"}},
        {"data": [PASSWORD]},
    ],
)
def test_an_account_of_a_hostile_vault(bao: Bao, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]) -> None:
    """What could not be a lease is not taken for one, and nothing of it is repeated."""
    vault, _ = entered(bao, **bao.approle())
    made = {"lease_id": "l", "lease_duration": 60, "renewable": True, "data": {"username": "gw", "password": PASSWORD}}

    async def run(v: Vault) -> None:
        await v.field(reference())

        async def ask(*question: object) -> Answer:
            return Answer(200, {**made, **changed})

        with monkeypatch.context() as patch:
            patch.setattr(v._exchange, "ask", ask)
            with pytest.raises(ResourceError) as error:
                await v.account(reference("vault:database/creds/shop"))
        assert (error.value.code, PASSWORD in str(error.value)) == ("secret.unavailable", False)
        assert v._token is not None and v._token.leases == 0

    using(vault, run)
