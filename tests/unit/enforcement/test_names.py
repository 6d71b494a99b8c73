"""What is known of a resource's objects: how fresh it is, and what a missing tagged field does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tidegate.enforcement.names import Names
from tidegate.errors import ConfigError
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
