"""A schema for what needs no catalog."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.enforcement.fixed import Fixed
from tidegate.enforcement.names import Names
from tidegate.enforcement.sight import Sight
from tidegate.errors import ResourceError
from tidegate.model.operation import Facts, Operation, Verb
from tidegate.model.resource import Address, Field, Resource

TAGGED = Field("0/user:*", "email")
RESOURCE = Resource("cache", "test", Address("127.0.0.1", 1), tags={TAGGED: "pii.email"})
MOVES = Facts(Verb.ADMINISTER, "set", "set", details={"own_names": True})


def sight() -> Sight:
    """What a session sees of the resource."""

    async def load() -> Fixed:
        return Fixed(b"1", lambda text: (Facts(Verb.READ, text, text),), {Field("0/always", "*"): "x"})

    names = Names(RESOURCE, load)
    asyncio.run(names.fresh())
    return Sight(names, RESOURCE, object())


def test_tags_are_patterns() -> None:
    """No field has to exist, and those of the schema's own count, too."""
    tags = sight().tags
    assert tags.tag(Field("0/user:7", "email")) == "pii.email"
    assert tags.tag(Field("0/always", "any")) == "x"


def test_nothing_moves_names() -> None:
    """Whatever is done, the next operation is judged as before, and nobody is asked."""
    seen = sight()
    for facts in (MOVES, Facts(Verb.DEFINE, "define", "define"), Facts(Verb.UNKNOWN, "?", "?")):
        operation = Operation(facts)
        seen.announce(operation)
        assert seen.behind(operation, None) is None
    assert not seen.moved
    assert not seen.unsettled
    assert not seen.questions([Operation(MOVES)], settled=True, inside=False)
    assert not seen.definitions([Operation(MOVES)])
    assert seen.classify("get")[0].command == "get"


def test_nobody_reads_answers() -> None:
    """What cannot come is a fault."""
    schema = sight().schema
    for read in (lambda: schema.within_session(b""), lambda: schema.within_transaction([])):
        with pytest.raises(ResourceError):
            read()
    assert schema.firm([], inside=True)
