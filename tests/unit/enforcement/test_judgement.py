"""A statement is judged once as long as nothing changes what its names mean, and anew from then on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyrage
import pytest

from tidegate.audit.entry import decode
from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.clock import SystemClock
from tidegate.enforcement.intents import Intents
from tidegate.enforcement.judgement import Judgements, blind
from tidegate.enforcement.names import Names, Schema
from tidegate.enforcement.trail import Trail
from tidegate.masking.transforms import MARKER
from tidegate.model.identity import Grant, Hop, Identity, Kind
from tidegate.model.operation import Column, Facts, Operation, Output, Shape, Verb
from tidegate.model.resource import Address, Field, Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.policy.rules import load_bundle
from tidegate.recording.writer import Recorder
from unit.web.world import Tables

EMAIL = Field("public.customers", "email")
RESOURCE = Resource("shop", "test", Address("127.0.0.1", 1), tags={EMAIL: "pii.email"})
AGENT = Identity((Hop("u_1", "alice", Kind.USER),))
READ = Facts(
    Verb.READ, "select", "select email", reads=("public.customers",), effect=False,
    outputs=(Output("email", frozenset({EMAIL})),), filters=frozenset(), flows=frozenset(),
)  # fmt: skip
COLUMNS = [Column("email", Shape.TEXT, EMAIL)]


class Setting:
    """Judgements over a catalog that can change, and how often a text was understood."""

    def __init__(self, directory: Path) -> None:
        path = directory / "policy.yaml"
        path.write_text("rules:\n  - {id: work, may: [read, write], then: allow}\n")
        self.asked: list[str] = []
        self.says = READ
        self.names = cast(Names[Schema], Names(RESOURCE, self.load))
        asyncio.run(self.names.fresh())
        engine = Engine(load_bundle([path]))
        self.judgements = Judgements(engine, AGENT, RESOURCE, bytes(32), self.names, self.classify)

    async def load(self) -> Tables:
        """A catalog unlike the last."""
        tables = Tables()
        tables.has = lambda _: True  # type: ignore[method-assign]
        tables.digest = str(id(tables)).encode()
        return tables

    def classify(self, text: str) -> tuple[Facts, ...]:
        """What the text says now."""
        self.asked.append(text)
        return (self.says,)


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Fresh judgements."""
    return Setting(tmp_path)


def test_a_statement_is_judged_once(setting: Setting) -> None:
    """The same facts give the very same judgement; parameters do not matter."""
    one, two = (setting.judgements.weigh(Operation(READ, parameters)) for parameters in (b"1", b"2"))
    assert one is two and one.decision.effect is Effect.ALLOW and not setting.asked


def test_texts_of_one_shape_share_a_judgement(setting: Setting) -> None:
    """And keep their own text."""
    operations = [Operation(replace(READ, text=f"select {n}", shape=READ)) for n in range(2)]
    one, two = map(setting.judgements.weigh, operations)
    assert one is two and [operation.facts.text for operation in operations] == ["select 0", "select 1"]


def test_new_names_make_it_be_understood_anew(setting: Setting) -> None:
    """A statement prepared before a change is read again, and what it says then is judged."""
    prepared = Operation(READ)
    assert setting.judgements.weigh(prepared).decision.effect is Effect.ALLOW
    asyncio.run(setting.names.fresh(0))
    setting.says = replace(READ, verb=Verb.DEFINE)
    again = Operation(READ)
    assert setting.judgements.weigh(again).decision.effect is Effect.REFUSE
    assert again.facts is not READ and setting.asked == ["select email"]


def test_nothing_is_remembered_while_names_may_change(setting: Setting) -> None:
    """From the moment something may redefine names until they were read again, each time counts."""
    setting.judgements.weigh(Operation(READ))
    setting.names.redefining(self := object())
    setting.says = blind(READ)
    judged = [setting.judgements.weigh(Operation(READ)) for _ in range(2)]
    assert judged[0] is not judged[1] and {one.decision.effect for one in judged} == {Effect.REFUSE}
    setting.names.over(self)


def test_masks_are_worked_out_once_a_description(setting: Setting) -> None:
    """The same columns get the very same maskings, others their own, and none while names may change."""
    operation = Operation(READ)
    judged = setting.judgements.weigh(operation)
    first = setting.judgements.masks(operation, judged, COLUMNS)
    assert setting.judgements.masks(operation, judged, list(COLUMNS)) is first
    assert setting.judgements.masks(operation, judged, [Column("n", Shape.OTHER)]) is not first
    setting.names.redefining(object())
    assert setting.judgements.masks(operation, judged, COLUMNS) is not first


def test_a_mask_among_the_values_is_refused_each_time(setting: Setting) -> None:
    """A remembered judgement does not let a mask back in."""
    write = replace(READ, verb=Verb.WRITE, effect=True, outputs=(), writes=("public.customers",))
    clear, masked = (Operation(write, value) for value in (b"x", MARKER.encode()))
    assert setting.judgements.weigh(clear).decision.effect is Effect.ALLOW
    assert setting.judgements.weigh(masked).refusal is not None
    assert setting.judgements.weigh(clear).decision.effect is Effect.ALLOW


def test_facts_are_sealed_once_and_referred_to(setting: Setting, tmp_path: Path) -> None:
    """The second intent of a statement repeats the first's commitment and says where its opening is."""
    auditor = pyrage.x25519.Identity.generate()
    recipients, clock = Recipients((), (str(auditor.to_public()),)), SystemClock()
    log = Log.open(
        tmp_path / "data", organisation="example.org", gateway="gw1", clock=clock, recipients=recipients, segment=2**16
    )
    sid = clock.session_id()
    vault = log.vault(sid)
    keys = {track: vault.frame_key(track) for track in ("agent", "upstream")}
    recorder = Recorder(sid, header={}, keys=keys, write=log.append_chunk, clock=clock)
    trail = Trail(log, vault, recorder, AGENT, sid)
    intents = Intents(trail, RESOURCE, Grant("g", (), "shop", 0, "r", "why", 1))
    at = []
    for place in ((1, 2), (3, 4)):
        operation = Operation(READ)
        at.append(intents.intend(operation, setting.judgements.weigh(operation), "allow", place))
    trail.flush()
    first, second = cast(list[Any], [decode(log.leaf(index)) for index in at])
    log.close()
    assert (first["rec"], second["rec"]) == ({"f": 1, "o": 2}, {"f": 3, "o": 4})
    assert "at" not in first["dec"] and second["dec"]["at"] == at[0]
    assert first["c"]["dec"] == second["c"]["dec"] and first["c"]["stmt"] != second["c"]["stmt"]
