"""Names as one session sees them: what must be asked, and what is proven until it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from tidegate.enforcement.names import Names, Schema
from tidegate.enforcement.sight import Sight
from tidegate.errors import ResourceError
from tidegate.model.operation import Facts, Operation, Rows, Verb
from tidegate.model.resource import Address, Field, Resource
from unit.web.world import Tables

EMAIL = Field("public.customers", "email")
RESOURCE = Resource("shop", "test", Address("127.0.0.1", 1), tags={EMAIL: "pii.email"})
READ = Facts(Verb.READ, "select", "select", reads=("public.t",), effect=False, filters=frozenset(), outputs=())
LOOK = Operation(READ)
MOVE = Operation(Facts(Verb.ADMINISTER, "set", "set", details={"own_names": True}))
DEFINE = Operation(Facts(Verb.DEFINE, "create view", "create view", writes=("public.v",)))
END = Operation(Facts(Verb.SESSION, "rollback", "rollback", details={"transaction": "rollback"}))


class Known(Tables):
    """A catalog that says who is asked."""

    question = "path?"
    look_ups = ("tables?",)

    def __init__(self, name: str = "all", fields: bool = True) -> None:
        self.name = name
        self.fields = fields

    def has(self, field: Field) -> bool:
        """Whether it is there."""
        return self.fields

    def classify(self, text: str) -> tuple[Facts, ...]:
        """A read, by the name of this catalog."""
        return (replace(READ, text=self.name),)

    def within_session(self, answer: bytes) -> Schema:
        """Another name for another answer."""
        return cast(Schema, Known(f"{self.name} {answer.decode()}"))

    def within_transaction(self, answers: Sequence[Rows]) -> Schema:
        """The first value says whether tagged fields are there."""
        return cast(Schema, Known("inside", answers[0][0][0] == b"whole"))


@pytest.fixture
def sight() -> Sight:
    """A session that has done nothing yet."""

    async def load() -> Known:
        return Known()

    names = cast(Names[Schema], Names(RESOURCE, load))
    asyncio.run(names.fresh())
    return Sight(names, RESOURCE, object())


def asked(sight: Sight, operation: Operation = LOOK, *, inside: bool = False) -> Sequence[str]:
    """What must be asked before the operation is judged."""
    return sight.questions([operation], settled=not inside, inside=inside)


def text(sight: Sight) -> str:
    """By which catalog a statement is understood."""
    return sight.classify("select")[0].text


def test_nothing_is_asked_without_a_reason(sight: Sight) -> None:
    """Reads and changes of rows leave names as they are."""
    sight.announce(Operation(READ))
    sight.announce(Operation(replace(READ, verb=Verb.WRITE)))
    assert not asked(sight) and not sight.touched and text(sight) == "all"


def test_a_move_is_asked_about(sight: Sight) -> None:
    """Then statements are understood by the answer, and nothing remembered before holds."""
    before = sight.version
    sight.announce(MOVE)
    assert tuple(asked(sight)) == ("path?",)
    sight.found([[[b"other"]]])
    assert text(sight) == "all other" and sight.version != before and not sight.moved


def test_the_end_of_a_transaction_may_move_names_back(sight: Sight) -> None:
    """A rollback behind a move is a move; without one it is none."""
    sight.announce(END)
    assert not sight.moved
    sight.announce(MOVE)
    sight.found([[[b"other"]]])
    sight.announce(END)
    assert sight.moved


def test_behind_a_move_names_are_not_known(sight: Sight) -> None:
    """Behind a move in the same request names are unresolved, behind a definition no flow is proven."""
    for operation, unknown in ((MOVE, ["*"]), (DEFINE, None)):
        shade = sight.behind(operation, None)
        assert shade is not None
        facts = shade(READ)
        assert (facts.outputs, facts.details.get("unresolved")) == (None, unknown)
        assert sight.behind(DEFINE, shade) is shade


def test_an_open_transaction_sees_what_it_defined(sight: Sight) -> None:
    """Until it has seen that, no flow is proven; definitions alone need not be asked about."""
    sight.announce(DEFINE)
    assert sight.unsettled
    assert tuple(asked(sight, DEFINE, inside=True)) == ("path?",)
    assert tuple(asked(sight, inside=True)) == ("path?", "tables?")
    sight.found([[[b"own"]], [[b"whole"]]])
    assert not sight.unsettled and text(sight) == "inside own"
    sight.names.redefining(object())
    assert sight.unsettled
    sight.left()
    assert text(sight) == "all own"


def test_a_definition_of_what_its_transaction_defined_is_asked_about(sight: Sight) -> None:
    """A definition with a name that is not known is judged by the transaction's own objects: it may rename one."""
    sight.announce(DEFINE)
    unknown = replace(DEFINE.facts, details={"unresolved": ["*"]})
    assert tuple(asked(sight, Operation(unknown), inside=True)) == ("path?", "tables?")


def test_a_tagged_field_that_is_gone_keeps_flows_unproven(sight: Sight) -> None:
    """A transaction in which a tagged field has no name is judged as before."""
    sight.announce(DEFINE)
    sight.found([[[b"own"]], [[b"not whole"]]])
    assert sight.unsettled and not asked(sight, inside=True)


@pytest.mark.parametrize("answers", [[], [[]], [[[None]]]])
def test_no_answer_is_no_answer(sight: Sight, answers: list[Rows]) -> None:
    """An upstream that does not say ends the session."""
    with pytest.raises(ResourceError):
        sight.found(answers)
