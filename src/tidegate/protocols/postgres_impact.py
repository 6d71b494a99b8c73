"""What a statement that waits for people would do: the planner's estimate, and a dry run that is taken back.

Both run on a connection of the gateway's own (rule 10), in one transaction that is never committed and under short
time-outs. First it is proven that only code without effects would run (``operations.trial``); then the connection is
given the role, the search path and the settings of the session that asks, and must resolve the statement to exactly
the same definitions, so that what is told is about what would run. Otherwise the impact is unknown, with a reason that
holds neither values nor the server's words.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from tidegate.enforcement.names import Names
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError, ResourceError
from tidegate.model.impact import Attempt, Impact
from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.operations.definition_queries import literal
from tidegate.operations.trial import Trial, beside_objection, looking, objection, quoted, read_objection, trial
from tidegate.operations.trial_queries import beside
from tidegate.wire.postgres_messages import message
from tidegate.wire.postgres_values import Value, readable, values

from .postgres_catalog import Schema
from .postgres_login import enter
from .postgres_own import Answer, Conversation
from .postgres_sample import samples

PATIENCE = 20.0
"""Seconds that all of it may take."""

MOST = 100_000
"""Rows by the planner's estimate above which nothing is tried: a dry run works and locks like the statement itself."""

SETTINGS = {
    "application_name": "tidegate:impact",
    "default_transaction_read_only": "on",
    "statement_timeout": "5000",
    "lock_timeout": "500",
    "idle_in_transaction_session_timeout": "10000",
}

_OWN = frozenset(
    {
        "role", "is_superuser", "transaction_isolation", "transaction_read_only", "transaction_deferrable",
        "default_transaction_read_only", "default_transaction_isolation", "client_encoding",
        "standard_conforming_strings", "lc_collate", "lc_ctype",
    }
)  # fmt: skip
"""Settings that belong to this connection's own transaction, or cannot differ."""

_NAME = re.compile(r'"((?:[^"]|"")+)"|([^",]+)')
"""A name in a search path: quoted, or as it is."""

UNSEEN = "Rows that the agent's own open transaction has changed are not seen."
HELD = "Nothing that happens outside of the database is tried; locks were held for a moment."

Record = Callable[[str], Awaitable[None]]
Enter = Callable[[Callable[[Credential], Awaitable[Impact]]], Awaitable[Impact]]


class Unknown(Exception):
    """Nothing can be told, for this reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt is made: the resource, what is known of it, and how the gateway logs in and records."""

    resource: Resource
    names: Names[Schema]
    borrow: Enter
    record: Record


async def impact(place: Place, attempt: Attempt, *, run: bool) -> Impact:
    """The estimate, or with ``run`` what a dry run shows. Raises LogFailure; whatever else fails makes it unknown."""
    try:
        stated = _stated(attempt.context)
        schema = _schema(place.names.current, stated)
        facts, bound = _statement(schema, attempt)

        async def look(credential: Credential) -> Impact:
            async with asyncio.timeout(PATIENCE), _connection(place, credential, stated) as own:
                return await _Look(place, own, schema, stated, facts, bound).impact(run=run)

        return await place.borrow(look)
    except Unknown as reason:
        return Impact(unknown=str(reason))
    except TimeoutError:
        return Impact(unknown="it took too long")
    except EOFError:
        return Impact(unknown="the server closed the connection")
    except (ResourceError, ConfigError, AgentError) as error:
        return Impact(unknown=error.message)


def shown(attempt: Attempt) -> tuple[str, ...]:
    """The bound values as people read them; nothing where they cannot be taken apart."""
    try:
        return tuple(map(readable, values(attempt.parameters, attempt.declared)))
    except AgentError:
        return ()


Stated = Mapping[tuple[str, str], str | None]
"""What a session says of itself and of definitions: kind and name to mark."""


def _stated(context: str) -> Stated:
    try:
        answers = json.loads(context)
        return {(kind, name): mark for kind, name, mark in answers[1]}
    except (ValueError, LookupError, TypeError):
        raise Unknown("the session that asks has not said what names mean in it") from None


def _schema(schema: Schema, stated: Stated) -> Schema:
    found = _NAME.findall(stated.get(("session", "path")) or "")
    path = [plain or inner.replace('""', '"') for inner, plain in found]
    if "pg_temp" in path:
        raise Unknown("the session that asks has temporary objects, which nobody else can see")
    return schema.along(path, stated.get(("session", "role")) or "")


def _statement(schema: Schema, attempt: Attempt) -> tuple[Facts, tuple[Value, ...]]:
    found = schema.classify(attempt.text)
    if len(found) != 1:
        raise Unknown("only a single statement can be looked at beforehand")
    if words := objection(found[0]):
        raise Unknown(words)
    return found[0], values(attempt.parameters, attempt.declared)


@asynccontextmanager
async def _connection(place: Place, credential: Credential, stated: Stated) -> AsyncIterator[Conversation]:
    """A connection whose transaction ends with it, taken back."""
    database = place.resource.database or stated.get(("session", "database")) or ""
    stream, _ = await enter(place.resource, credential, {**SETTINGS, "database": database}, PATIENCE)
    try:
        yield Conversation(stream, place.record)
    finally:
        await _leave(stream)


async def _leave(stream: Stream) -> None:
    stream.write(message(b"X", b""))
    await stream.close()


class _Look:
    """One look at one statement."""

    def __init__(
        self, place: Place, own: Conversation, schema: Schema, stated: Stated, facts: Facts, bound: Sequence[Value]
    ) -> None:
        self._own = own
        self._names = place.names
        self._schema = schema
        self._stated = stated
        self._facts = facts
        self._bound = bound
        self._bare = schema.along(["pg_catalog"], "").catalog
        self._notes: tuple[str, ...] = (UNSEEN,)
        self._keys: dict[str, list[str]] = {}
        self._copies = False

    async def impact(self, *, run: bool) -> Impact:
        """The whole look. Raises Unknown and what ``impact`` makes of it."""
        writes = run and self._facts.verb is not Verb.READ
        await self._own.must(f"BEGIN ISOLATION LEVEL READ COMMITTED, READ {'WRITE' if writes else 'ONLY'}")
        await self._own.must("SET LOCAL search_path = pg_catalog")
        if writes:
            await self._lock()
        await self._look_beside(run=run)
        await self._become()
        estimate = await self._estimate()
        return await self._try(estimate) if run else estimate

    async def _lock(self) -> None:
        """Take what the change itself would take, so that nobody adds a trigger between the proof and the trial."""
        named = ", ".join(".".join(map(quoted, name.split(".", 1))) for name in sorted(self._facts.writes))
        answer = await self._own.ask(f"LOCK TABLE {named} IN ROW EXCLUSIVE MODE NOWAIT")
        if answer.failure:
            raise Unknown(f"what it changes is locked, or may not be locked (SQLSTATE {answer.failure})")

    async def _look_beside(self, *, run: bool) -> None:
        if self._facts.reads and (words := read_objection(self._bare, await self._beside(self._facts.reads))):
            raise Unknown(words)
        rows = await self._beside(self._facts.writes) if self._facts.writes else []
        words, notes = beside_objection(self._bare, rows, run=run)
        if words:
            raise Unknown(words)
        self._notes += notes
        fired = {name.rpartition(".")[0] for kind, name, _ in rows if kind == "trigger"}
        tagged = self._names.tags.touched({*fired, *self._facts.writes})
        self._copies = bool(fired) and (tagged or looking(self._bare, rows))
        for kind, name, text in rows:
            if kind == "key":
                self._keys.setdefault(name, []).append(text)

    async def _beside(self, objects: Sequence[str]) -> list[tuple[str, str, str]]:
        answer = await self._own.must(beside(objects))
        return [(row[0], row[1], row[2]) for row in map(_texts, answer.rows)]

    async def _become(self) -> None:
        """Take on what the session that asks has set, and see that the statement means here what it means there."""
        here = await self._definitions()
        login, role = here.get(("session", "role")), self._stated.get(("session", "role"))
        if role != login:
            await self._must(
                f"SET LOCAL ROLE {quoted(role or '')}", "the role of the session that asks is not to be had"
            )
        for (kind, name), value in self._stated.items():
            if kind == "setting" and name not in _OWN and here.get((kind, name)) != value:
                await self._must(
                    f"SELECT pg_catalog.set_config({literal(name)}, {literal(value or '')}, true)",
                    f"the setting {name} of the session that asks is not to be had",
                )
        if _compared(await self._definitions()) != _compared(self._stated):
            raise Unknown("elsewhere than in the session that asks the statement means something else")

    async def _definitions(self) -> Stated:
        answers = [await self._own.must(text) for text in self._schema.definitions([self._facts])]
        return {
            (row[0] or "", row[1] or ""): row[2] for row in ([_text(cell) for cell in row] for row in answers[1].rows)
        }

    async def _must(self, text: str, words: str) -> None:
        if (await self._own.ask(text)).failure:
            raise Unknown(words)

    async def _estimate(self) -> Impact:
        await self._must("SAVEPOINT tidegate_plan", "the server takes no savepoint")
        answer = await self._own.ask(f"EXPLAIN (FORMAT JSON, VERBOSE) {self._facts.text}", self._bound)
        if answer.failure and self._bound:
            await self._must("ROLLBACK TO SAVEPOINT tidegate_plan", "the server takes no savepoint")
            answer = await self._own.ask(f"EXPLAIN (FORMAT JSON, VERBOSE, GENERIC_PLAN) {self._facts.text}")
        if answer.failure:
            raise Unknown(f"the server cannot plan it (SQLSTATE {answer.failure})")
        rows, objects = _planned(answer)
        return Impact(rows, objects=objects, notes=self._notes)

    async def _try(self, estimate: Impact) -> Impact:
        if estimate.rows is not None and estimate.rows > MOST:
            raise Unknown(f"about {estimate.rows} rows are too many to try")
        target = next((name for name in self._facts.writes if name in self._keys), "")
        made = trial(self._facts.text, self._schema.catalog, self._keys.get(target, ()))
        if isinstance(made, str):
            raise Unknown(made)
        answer = await self._own.ask(made.text, self._bound)
        if answer.failure:
            raise Unknown(f"it would fail (SQLSTATE {answer.failure})")
        before, after = samples(made, answer, self._facts, self._schema, self._names.tags, copies=self._copies)
        notes = (*self._notes, HELD)
        if self._facts.verb is not Verb.READ and (await self._own.ask("SET CONSTRAINTS ALL IMMEDIATE")).failure:
            notes += ("A constraint that is checked at the end of the transaction would fail.",)
        await self._own.ask("ROLLBACK")
        return replace(
            estimate, rows=_count(made, answer), exact=True, sample_before=before, sample_after=after, notes=notes
        )


def _compared(stated: Stated) -> Stated:
    """What must be the same here and there."""
    own = {("setting", name) for name in _OWN} | {("session", "user")}
    return {key: value or None for key, value in stated.items() if key not in own}


def _count(made: Trial, answer: Answer) -> int | None:
    if made.kind == "merge":
        number = answer.tag.rpartition(" ")[2]
        return int(number) if number.isdecimal() else None
    return int(answer.rows[0][0] or b"0") if answer.rows else 0


def _planned(answer: Answer) -> tuple[int | None, tuple[str, ...]]:
    """The estimated rows and the relations of a plan. Raises Unknown."""
    try:
        plan = json.loads(b"".join(row[0] or b"" for row in answer.rows))[0]["Plan"]
        changing = plan["Node Type"] == "ModifyTable"
        inner = [node for node in plan.get("Plans", ()) if node.get("Parent Relationship") in ("Outer", "Member")]
        rows = sum(int(node["Plan Rows"]) for node in inner) if changing else int(plan["Plan Rows"])
    except (ValueError, LookupError, TypeError):
        raise Unknown("the server's plan cannot be read") from None
    return rows, tuple(sorted(set(_relations(plan))))


def _relations(node: Any) -> list[str]:
    found = [f"{node['Schema']}.{node['Relation Name']}"] if "Relation Name" in node and "Schema" in node else []
    for inner in node.get("Plans", ()):
        found += _relations(inner)
    return found


def _text(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode("utf-8", "replace")


def _texts(row: Sequence[bytes | None]) -> list[str]:
    return [_text(cell) or "" for cell in row]
