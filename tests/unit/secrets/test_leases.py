"""Accounts that Vault makes in a real database: shared, renewed, revoked, and ended for whoever uses them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest

from servers import Postgres
from tidegate.errors import ResourceError
from tidegate.model.event import Json
from tidegate.model.secret import parse
from tidegate.secrets import leases as module
from tidegate.secrets.leases import Leases, Use
from unit.secrets.conftest import entered
from vault import FIXED, Bao

TEXT = "vault:database/creds/shop"


class Bench:
    """Leases over a real Vault, and the leaves that they wrote."""

    def __init__(self, bao: Bao, **lives: str) -> None:
        self.written: list[tuple[str, Mapping[str, Json]]] = []
        self.vault, _ = entered(bao, **bao.approle(**lives))
        self.leases = Leases(self.vault, lambda kind, fields: self.written.append((kind, fields)), self._durable)

    async def _durable(self) -> None:
        """Nothing to wait for."""

    async def take(self, refused: Use | None = None) -> Use:
        """An account."""
        found = parse(TEXT)
        assert found is not None
        return await self.leases.take(TEXT, found, refused.credential if refused else None)

    def whys(self) -> list[Json]:
        """How accounts ended."""
        return [fields["why"] for kind, fields in self.written if kind == "account.returned"]


def run(bench: Bench, story: Callable[[Bench], Awaitable[Any]]) -> None:
    """Play a story with the upkeep going on, and give everything back."""

    async def whole() -> None:
        going = asyncio.create_task(bench.leases.run())
        try:
            await story(bench)
        finally:
            going.cancel()
            await bench.leases.close()
            await bench.vault.close()

    asyncio.run(whole())


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(0.05)


@pytest.fixture
def bao(bao: Bao, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bao]:
    """A Vault that makes accounts in the database; nobody lingers."""
    monkeypatch.setattr(module, "TICK", 0.2)
    monkeypatch.setattr(module, "LINGER", 0.5)
    bao.database(postgres)
    yield bao


def test_shared_and_revoked(bao: Bao) -> None:
    """Two at a time share one account; it is revoked once nobody uses it, and both facts are leaves."""

    async def story(bench: Bench) -> None:
        one, other = await asyncio.gather(bench.take(), bench.take())
        assert one.credential == other.credential
        assert one.credential.password == FIXED and FIXED not in repr(one.credential)
        assert len(bao.leases()) == 1
        one.release()
        await asyncio.sleep(1.5)
        assert len(bao.leases()) == 1 and not other.ended
        other.release()
        other.release()
        await until(lambda: not bao.leases() and len(bench.written) == 2)
        (leased, returned) = bench.written
        assert leased[0] == "account.leased" and returned == ("account.returned", {**leased[1], "why": "unused"})
        assert FIXED not in str(bench.written)

    run(Bench(bao), story)


def test_everything_is_given_back_at_the_end(bao: Bao) -> None:
    """Also what is still used."""

    async def story(bench: Bench) -> None:
        await bench.take()

    bench = Bench(bao)
    run(bench, story)
    assert (bench.whys(), bao.leases()) == (["stopped"], [])


def test_renewed_past_its_first_span(bao: Bao, postgres: Postgres) -> None:
    """While it is used it lives on; near its longest life newcomers get another, and at its end users hear of it."""
    bao.database(postgres, ttl="2s", top="7s")
    heard: list[float] = []

    async def story(bench: Bench) -> None:
        began = asyncio.get_running_loop().time()
        use = await bench.take()
        use.over = lambda: heard.append(asyncio.get_running_loop().time() - began)
        await until(lambda: bool(heard))
        assert heard[0] > 3 and use.ended
        assert (await bench.take()).credential.user != use.credential.user

    bench = Bench(bao)
    run(bench, story)
    assert bench.whys()[0] == "expired"


def test_refused_upstream(bao: Bao) -> None:
    """Whoever was refused with it gets another; who still uses it keeps it."""

    async def story(bench: Bench) -> None:
        first = await bench.take()
        second = await bench.take(refused=first)
        assert second.credential.user != first.credential.user and not first.ended
        assert first.credential.own(second.credential.user), "they stand for the same account"

    run(Bench(bao), story)


def test_revoked_at_vault(bao: Bao) -> None:
    """A newcomer does not get what Vault has ended, and whoever uses it hears of it then."""

    async def story(bench: Bench) -> None:
        use = await bench.take()
        heard: list[str] = []
        use.over = lambda: heard.append("over")
        bao.call("POST", "sys/leases/revoke-prefix/database/creds/shop")
        again = await bench.take()
        assert heard == ["over"] and again.credential.user != use.credential.user

    run(Bench(bao), story)


def test_the_token_that_made_it_ends(bao: Bao) -> None:
    """An account lasts no longer than the token it was made under, whatever its own lease says."""

    async def story(bench: Bench) -> None:
        use = await bench.take()
        heard: list[str] = []
        use.over = lambda: heard.append("over")
        await until(lambda: bool(heard))

    run(Bench(bao, ttl="2s", top="4s"), story)


def test_vault_is_down() -> None:
    """A newcomer is refused although an account is at hand; who has it keeps it until its lease ends."""

    async def story(bench: Bench) -> None:
        use = await bench.take()
        own.stop()
        with pytest.raises(ResourceError, match="does not answer"):
            await bench.take()
        assert not use.ended
        await until(lambda: use.ended)

    with Bao() as own, Postgres() as server:
        own.database(server, ttl="3s")
        run(Bench(own), story)


def test_whoever_gives_up_leaves_nothing_behind(bao: Bao) -> None:
    """Cancelled while Vault makes the account, it is taken into care all the same and revoked."""

    async def story(bench: Bench) -> None:
        asking = asyncio.create_task(bench.take())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: bench.whys() == ["unused"])
        assert bao.leases() == []

    run(Bench(bao), story)


def test_an_account_counts_only_once_it_is_durable(bao: Bao) -> None:
    """A log that fails: nobody gets the account, and it is revoked."""

    async def failing() -> None:
        raise ResourceError("the log fails")

    async def story(bench: Bench) -> None:
        bench.leases._durable = failing
        with pytest.raises(ResourceError, match="the log fails"):
            await bench.take()
        await until(lambda: not bao.leases())

    run(Bench(bao), story)


def test_a_vault_that_does_not_let_go(bao: Bao) -> None:
    """Without the right to revoke, the account is left to end by itself, and others are still looked after."""
    bench = Bench(bao)
    policy = 'path "database/creds/*" { capabilities = ["read"] }'
    bao.call("PUT", "sys/policies/acl/gateway", policy=policy)

    async def story(bench: Bench) -> None:
        (await bench.take()).release()
        await until(lambda: bench.whys() == ["left"])

    run(bench, story)
