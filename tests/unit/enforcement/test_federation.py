"""The watch over logins at providers: it goes on whatever one of them does, and stops when nothing can be written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tidegate.enforcement import federation
from tidegate.enforcement.federation import callback
from tidegate.errors import LogFailure, ResourceError, TidegateError
from tidegate.identity.providers import Begun, Flow, Provider
from tidegate.model.identity import External
from tidegate.settings import Settings
from unit.web.world import World

MORE = """
web: {url: "https://gw.example.org"}
login:
  providers:
    away: {kind: oidc, issuer: "https://away.example", client_id: gw}
    corp: {kind: oidc, issuer: "https://corp.example", client_id: gw, join: true}
"""


@dataclass
class Scripted:
    """A provider that says who is gone, answer by answer, or fails; it knows everybody who asks."""

    name: str
    answers: list[Sequence[str] | TidegateError] = field(default_factory=list)
    kind: str = "oidc"

    async def begin(self, callback: str, *, fresh: bool = False) -> Begun:
        """To nowhere."""
        return Begun("https://idp.example", Flow(self.name, callback, "s", fresh, 1, {}))

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> External:
        """Whoever they say they are."""
        return External(self.name, answer["who"], answer["who"], "", (), f"oidc:{self.name}", 1)

    async def gone(self) -> Sequence[str]:
        """The next answer; nobody when there is none left."""
        found = self.answers.pop(0) if self.answers else ()
        if isinstance(found, TidegateError):
            raise found
        return found


SCRIPTED = {name: Scripted(name) for name in ("away", "corp")}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A gateway with two providers."""

    def known(_: Settings) -> Mapping[str, Provider]:
        return dict(SCRIPTED)

    with World(tmp_path, more=MORE, providers=known) as started:
        started.login("root")
        yield started


def login(world: World, who: str) -> str:
    """Somebody's login token."""

    async def come() -> str:
        begun = await world.federation.begin("corp")
        return (await world.federation.login(begun.flow, {"who": who}, peer="")).token

    return world.call(come)


def me(world: World, token: str) -> int:
    """What a call with it answers."""
    return world.http.get("/me", headers={"Authorization": f"Bearer {token}"}).status_code


def watched(world: World, until: Callable[[], bool]) -> bool:
    """Watch until something holds, or the watch is over; gives whether it goes on."""

    async def watch() -> bool:
        task = asyncio.create_task(world.federation.watch())
        async with asyncio.timeout(20):
            while not (task.done() or until()):  # noqa: ASYNC110 - the script has no event for it
                await asyncio.sleep(0.01)
        on = not task.done()
        task.cancel()
        return on

    return world.call(watch)


def ordered(world: World) -> int:
    """How many were logged out; on the loop."""
    return sum(leaf["k"] == "kill.ordered" for leaf in world.log.recent(0))


def test_who_is_gone_is_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when another provider does not answer, and again at the next look; nobody else is."""
    monkeypatch.setattr(federation, "EVERY", 0)
    one, two, three = (login(world, who) for who in ("one", "two", "three"))
    SCRIPTED["away"].answers[:] = [ResourceError("away", hint="wait", code="provider.unreachable")] * 2
    SCRIPTED["corp"].answers[:] = [["one", "nobody"], [], ["two"]]
    assert watched(world, lambda: ordered(world) == 2 and not SCRIPTED["corp"].answers)
    assert [me(world, token) for token in (one, two, three)] == [401, 401, 200]


def test_a_log_that_fails_ends_the_watch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done that is not written."""
    monkeypatch.setattr(federation, "EVERY", 0)
    SCRIPTED["away"].answers[:] = [LogFailure("no disk")]
    SCRIPTED["corp"].answers[:] = []
    assert not watched(world, lambda: False)


def test_a_login_ends_by_itself(world: World) -> None:
    """After half a day."""
    claims = world.issuer.verify(login(world, "one"), "tidegate")
    assert claims.expires - claims.issued == 12 * 3600
    assert claims.proofs == ("oidc:corp",)


def test_ways_back() -> None:
    """One for each way in which an answer comes."""
    assert callback("https://gw", "corp", "oidc") == "https://gw/login/corp/callback"
    assert callback("https://gw", "corp", "saml") == "https://gw/login/corp/acs"


def test_the_public_name_is_answered_to(world: World) -> None:
    """The host of `web.url` is a name of this gateway; another is not."""
    for host, status in (("gw.example.org", 200), ("GW.example.org:443", 200), ("evil.example.org", 421)):
        assert world.http.get("/health", headers={"Host": host}).status_code == status
