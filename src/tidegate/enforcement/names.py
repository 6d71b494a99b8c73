"""What is known of a resource's own objects, shared by its sessions and refreshed when it may have changed.

It is read when a session opens and is older than ``FRESH`` seconds, after anything that may redefine objects has passed
through the gateway, and every ``EVERY`` seconds while it has sessions. From the moment such a thing is allowed until
the objects have been read after it ended, no session of the resource takes a value's flow for proven: otherwise one
session could read through a view that another has just replaced. A tag that names a field which no longer exists closes
the resource: a renamed column must not slip out from under its tag.

Where several processes have sessions of the resource, each hears of it before the statement is forwarded: a
redefinition in one unsettles the names of all.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from tidegate.errors import ConfigError, LogFailure, ResourceError
from tidegate.masking.patterns import PatternTags
from tidegate.masking.tags import Tags
from tidegate.model.operation import Facts, Rows
from tidegate.model.resource import Field, Resource

FRESH = 5.0
EVERY = 5.0

PATIENCE = 15.0
"""Seconds until every other process must know of a redefinition; the statement fails otherwise."""


class Schema(Protocol):
    """A catalog in no protocol's words."""

    @property
    def digest(self) -> bytes:
        """Equal for equal content."""

    @property
    def always(self) -> Mapping[Field, str]:
        """Fields that are sensitive on every resource of this kind."""

    @property
    def steady(self) -> bool:
        """Whether names mean the same whatever is done, so that nobody need be asked."""

    @property
    def patterns(self) -> bool:
        """Whether tags name objects and fields by patterns."""

    def family(self, object: str) -> frozenset[str]:
        """Objects that share tags with this one."""

    def reach(self, object: str) -> frozenset[str]:
        """Objects that an error of a write to this one may name."""

    def has(self, field: Field) -> bool:
        """Whether the field exists."""

    def classify(self, text: str) -> tuple[Facts, ...]:
        """What a statement does, one entry each."""

    @property
    def question(self) -> str:
        """What a session is asked, to know what names mean in it."""

    @property
    def look_ups(self) -> Sequence[str]:
        """What a session is asked in an open transaction, to know what it has defined in it."""

    def definitions(self, operations: Sequence[Facts]) -> Sequence[str]:
        """What a session is asked, to know by what these would run in it now, to the last function.

        Equal answers mean equal definitions, settings, role and database: an approval is bound to them, asked for when
        it is requested and again just before it is used. Rows are (kind, name, mark), all of them text.
        """

    def firm(self, answers: Sequence[Rows], *, inside: bool) -> bool:
        """Whether these answers to ``definitions`` tell of what would run, and not of what an older snapshot shows.

        ``inside``: an open transaction was asked. Where it is False, nobody can say yes to anything.
        """

    def within_transaction(self, answers: Sequence[Rows]) -> Schema:
        """What these answers to ``look_ups`` say. Raises ResourceError."""

    def within_session(self, answer: bytes) -> Schema:
        """The same as a session sees it that gave this answer. Raises ResourceError."""


class Others(Protocol):
    """Other processes that judge by the same objects; both speak at once, in order."""

    def redefining(self, resource: str, database: str, mark: str) -> asyncio.Future[None]:
        """Something may redefine objects from now on; done when every other process knows."""

    def over(self, resource: str, database: str, mark: str) -> None:
        """It has ended."""


S = TypeVar("S", bound=Schema)


class Names(Generic[S]):
    """One resource's (and database's) objects; ``current`` and ``tags`` change together."""

    def __init__(
        self, resource: Resource, load: Callable[[], Awaitable[S]], database: str = "", others: Others | None = None
    ) -> None:
        self._resource = resource
        self._load = load
        self._database = database
        self._others = others
        self._marks = itertools.count(1)
        self._telling: dict[object, tuple[str, asyncio.Future[None]]] = {}
        self._lock = asyncio.Lock()
        self._loaded = -FRESH
        self._redefining: dict[object, bool] = {}
        self.version = 0
        self.current: S
        self.tags: Tags

    @property
    def unsettled(self) -> bool:
        """Whether something under way may redefine objects: then nothing about the flow of values is proven."""
        return bool(self._redefining)

    @property
    def settling(self) -> bool:
        """Whether something has ended and only reading the objects again is due: waiting for that is short."""
        return bool(self._redefining) and any(self._redefining.values())

    def unsettled_by_others(self, who: object) -> bool:
        """The same for what others than ``who`` do."""
        return any(other is not who for other in self._redefining)

    def redefining(self, who: object) -> None:
        """``who`` is about to do something that may redefine objects; it lasts until they are read after ``over``.

        Nothing of it may be forwarded before ``told``.
        """
        if self._others is not None and who not in self._telling:
            mark = str(next(self._marks))
            self._telling[who] = (mark, self._others.redefining(self._resource.name, self._database, mark))
        self._redefining[who] = False

    def over(self, who: object) -> None:
        """What ``who`` did has ended, in its transaction too."""
        if who in self._redefining:
            self._redefining[who] = True
        if self._others is not None and who in self._telling:
            mark, telling = self._telling.pop(who)
            telling.cancel()
            self._others.over(self._resource.name, self._database, mark)

    def untold(self, who: object) -> bool:
        """Whether other processes have still to hear what ``who`` is about to do."""
        return bool(self._telling) and who in self._telling and not _done(self._telling[who][1])

    async def told(self, who: object) -> None:
        """Every process knows what ``who`` is about to do. Raises LogFailure when they cannot be reached."""
        if who in self._telling:
            try:
                async with asyncio.timeout(PATIENCE):
                    await asyncio.shield(self._telling[who][1])
            except OSError:
                words = "other workers cannot be told what this statement redefines"
                raise LogFailure(words, hint="Nothing was executed. Connect again.", code="gateway.alone") from None

    def redefining_elsewhere(self, mark: str) -> None:
        """Another process is about to do something that may redefine objects."""
        self._redefining[mark] = False

    def over_elsewhere(self, mark: str) -> None:
        """What another process did has ended."""
        if mark in self._redefining:
            self._redefining[mark] = True

    async def fresh(self, age: float = FRESH) -> None:
        """Make sure that ``current`` is at most ``age`` seconds old. Raises ResourceError, ConfigError."""
        asked = asyncio.get_running_loop().time()
        async with self._lock:
            if asked - self._loaded > age:
                await self._read()

    async def read_back(self) -> None:
        """Read the objects again if something that may have redefined them has ended; whoever comes later waits."""
        async with self._lock:
            if self.settling:
                await self._read()

    async def _read(self) -> None:
        started = asyncio.get_running_loop().time()
        ended = [who for who, over in self._redefining.items() if over]
        schema = await self._load()
        kind = PatternTags if schema.patterns else Tags
        tags = kind({**schema.always, **self._resource.tags}, schema.family)
        missing = [str(field) for field in self._resource.tags if field.name != "*" and not schema.has(field)]
        if missing:
            raise ConfigError(
                f"resource {self._resource.name}: tagged fields do not exist: {', '.join(sorted(missing)[:5])}",
                hint="A column was renamed or dropped: correct `tags` in tidegate.yaml.",
                code="config.tags",
            )
        self._loaded = started
        for who in ended:
            self._redefining.pop(who, None)
        if not self.version or schema.digest != self.current.digest:
            self.current, self.tags = schema, tags
            self.version += 1


def _done(telling: asyncio.Future[None]) -> bool:
    return telling.done() and not telling.cancelled() and telling.exception() is None


class Atlas:
    """The names of every resource in use; event loop only."""

    def __init__(self, others: Others | None = None) -> None:
        self._names: dict[tuple[str, str], Names[Schema]] = {}
        self._others = others
        self._elsewhere: dict[tuple[str, str], set[str]] = {}

    async def names(self, resource: Resource, database: str, load: Callable[[], Awaitable[S]]) -> Names[S]:
        """The names of one database of a resource, fresh enough to open a session with."""
        key = (resource.name, database)
        if key not in self._names:
            self._names[key] = Names(resource, load, database, self._others)
            for mark in self._elsewhere.get(key, ()):
                self._names[key].redefining_elsewhere(mark)
        names = self._names[key]
        await names.fresh()
        return names  # type: ignore[return-value]  # one resource has one protocol, hence one kind of schema

    def redefining_elsewhere(self, resource: str, database: str, mark: str) -> None:
        """Another process is about to do something that may redefine objects, whether they are in use here or not."""
        self._elsewhere.setdefault((resource, database), set()).add(mark)
        if (resource, database) in self._names:
            self._names[resource, database].redefining_elsewhere(mark)

    def over_elsewhere(self, resource: str, database: str, mark: str) -> None:
        """What another process did has ended."""
        self._elsewhere.get((resource, database), set()).discard(mark)
        if (resource, database) in self._names:
            self._names[resource, database].over_elsewhere(mark)

    async def watch(self, in_use: Callable[[str], bool], failed: Callable[[ResourceError | ConfigError], None]) -> None:
        """Refresh the databases of resources that are in use, by name, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            for names in [names for (resource, _), names in self._names.items() if in_use(resource)]:
                try:
                    await names.read_back()
                    await names.fresh(EVERY / 2)
                except (ResourceError, ConfigError) as error:
                    failed(error)
