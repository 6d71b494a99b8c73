"""What is known of a resource's objects: how fresh it is, and what a missing tagged field does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tidegate.enforcement.names import Atlas, Names
from tidegate.errors import ConfigError, LogFailure
from tidegate.model.resource import Address, Field, Resource
from unit.web.world import Tables

EMAIL = Field("public.customers", "email")


class Loader:
    """Counts how often the catalog is read; ``fields`` are the ones that exist."""

    def __init__(self, *fields: Field) -> None:
        self.fields, self.count = fields, 0

    async def __call__(self) -> Tables:
        self.count += 1
        tables = Tables()
        tables.has = lambda field: field in self.fields  # type: ignore[method-assign]
        return tables


def names(load: Loader) -> Names[Tables]:
    """The names of a resource with one tagged field."""
    return Names(Resource("shop", "test", Address("127.0.0.1", 1), tags={EMAIL: "pii.email"}), load)


class Others:
    """Other processes: notes what they hear, and lets the test say when they have heard it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []
        self.answers: list[asyncio.Future[None]] = []

    def redefining(self, resource: str, database: str, mark: str) -> asyncio.Future[None]:
        self.heard.append(("redefining", resource, database, mark))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def over(self, resource: str, database: str, mark: str) -> None:
        self.heard.append(("over", resource, database, mark))


def run(*steps: Awaitable[None]) -> None:
    """Await each in turn."""

    async def all_of_them() -> None:
        for step in steps:
            await step

    asyncio.run(all_of_them())


def test_what_is_fresh_is_not_read_again() -> None:
    """Within its age the catalog is read once; with age 0 always."""
    load = Loader(EMAIL)
    known = names(load)
    run(known.fresh(), known.fresh(), known.fresh(0.0))
    assert (load.count, known.version) == (2, 1), "equal content is no new version"


def test_tags_come_with_the_catalog() -> None:
    """What is tagged in the configuration is tagged once the catalog is known."""
    known = names(Loader(EMAIL))
    run(known.fresh())
    assert known.tags.tag(EMAIL) == "pii.email"


def test_a_missing_tagged_field_closes_the_resource() -> None:
    """A renamed column must not slip out from under its tag, however often one asks."""
    known = names(Loader())
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"public\.customers\.email") as refused:
            run(known.fresh())
        assert refused.value.code == "config.tags"


SHOP = Resource("shop", "test", Address("127.0.0.1", 1), tags={EMAIL: "pii.email"})


def test_others_hear_before_it_is_done() -> None:
    """A redefinition is untold until every other process has answered; its end is told once."""

    async def story() -> None:
        others = Others()
        known = Names(SHOP, Loader(EMAIL), "db", others)
        known.redefining(self := object())
        assert known.unsettled and known.untold(self)
        telling = asyncio.create_task(known.told(self))
        await asyncio.sleep(0)
        assert not telling.done()
        others.answers[0].set_result(None)
        await telling
        assert not known.untold(self)
        known.redefining(self)
        known.over(self)
        known.over(self)
        assert others.heard == [("redefining", "shop", "db", "1"), ("over", "shop", "db", "1")]

    asyncio.run(story())


def test_who_cannot_be_told_redefines_nothing() -> None:
    """When the others are not to be reached the statement fails, and stays untold."""

    async def story() -> None:
        others = Others()
        known = Names(SHOP, Loader(EMAIL), "db", others)
        known.redefining(self := object())
        others.answers[0].set_exception(ConnectionError())
        with pytest.raises(LogFailure):
            await known.told(self)
        assert known.untold(self)

    asyncio.run(story())


def test_what_others_redefine_unsettles() -> None:
    """News of another process count for names that are known and for those that are asked for later."""

    async def story() -> None:
        atlas, load = Atlas(), Loader(EMAIL)
        atlas.redefining_elsewhere("shop", "db", "2.1")
        known = await atlas.names(SHOP, "db", load)
        assert known.unsettled and not known.settling
        atlas.redefining_elsewhere("shop", "db", "2.2")
        atlas.over_elsewhere("shop", "db", "2.1")
        await known.read_back()
        assert known.unsettled, "the other one goes on"
        atlas.over_elsewhere("shop", "db", "2.2")
        assert known.settling
        await known.read_back()
        assert not known.unsettled and load.count == 3

    asyncio.run(story())


def test_only_what_is_in_use_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource without sessions is left alone: each reading logs in there."""
    monkeypatch.setattr("tidegate.enforcement.names.EVERY", 0.01)
    used, unused = Loader(), Loader()

    async def story() -> None:
        atlas = Atlas()
        for name, load in (("used", used), ("unused", unused)):
            await atlas.names(Resource(name, "test", Address("127.0.0.1", 1)), "", load)
        watching = asyncio.create_task(atlas.watch(lambda name: name == "used", lambda error: None))
        while used.count < 3:  # noqa: ASYNC110 - it counts itself
            await asyncio.sleep(0.005)
        watching.cancel()

    asyncio.run(asyncio.wait_for(story(), 30))
    assert unused.count == 1
