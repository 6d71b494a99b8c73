"""What is known of a resource's own objects, shared by its sessions and refreshed when it may have changed.

It is read when a session opens and is older than ``FRESH`` seconds, after anything that may redefine objects has passed
through the gateway, and every ``EVERY`` seconds while sessions are open. From the moment such a thing is allowed until
the objects have been read after it ended, no session of the resource takes a value's flow for proven: otherwise one
session could read through a view that another has just replaced. A tag that names a field which no longer exists closes
the resource: a renamed column must not slip out from under its tag.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

from tidegate.errors import ConfigError, ResourceError
from tidegate.masking.tags import Tags
from tidegate.model.operation import Facts
from tidegate.model.resource import Field, Resource

FRESH = 5.0
EVERY = 5.0


class Schema(Protocol):
    """A catalog in no protocol's words."""

    @property
    def digest(self) -> bytes:
        """Equal for equal content."""

    @property
    def always(self) -> Mapping[Field, str]:
        """Fields that are sensitive on every resource of this kind."""

    def family(self, object: str) -> frozenset[str]:
        """Objects that share tags with this one."""

    def reach(self, object: str) -> frozenset[str]:
        """Objects that an error of a write to this one may name."""

    def has(self, field: Field) -> bool:
        """Whether the field exists."""

    def classify(self, text: str) -> tuple[Facts, ...]:
        """What a statement does, one entry each."""


S = TypeVar("S", bound=Schema)


class Names(Generic[S]):
    """One resource's (and database's) objects; ``current`` and ``tags`` change together."""

    def __init__(self, resource: Resource, load: Callable[[], Awaitable[S]]) -> None:
        self._resource = resource
        self._load = load
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
        return any(self._redefining.values())

    def redefining(self, who: object) -> None:
        """``who`` is about to do something that may redefine objects; it lasts until they are read after ``over``."""
        self._redefining[who] = False

    def over(self, who: object) -> None:
        """What ``who`` did has ended, in its transaction too."""
        if who in self._redefining:
            self._redefining[who] = True

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
        tags = Tags({**schema.always, **self._resource.tags}, schema.family)
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


class Atlas:
    """The names of every resource in use; event loop only."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], Names[Schema]] = {}

    async def names(self, resource: Resource, database: str, load: Callable[[], Awaitable[S]]) -> Names[S]:
        """The names of one database of a resource, fresh enough to open a session with."""
        key = (resource.name, database)
        names: Names[Schema] = self._names.setdefault(key, Names(resource, load))
        await names.fresh()
        return names  # type: ignore[return-value]  # one resource has one protocol, hence one kind of schema

    async def watch(self, in_use: Callable[[], bool], failed: Callable[[ResourceError | ConfigError], None]) -> None:
        """Refresh every known database while sessions are open."""
        while True:
            await asyncio.sleep(EVERY)
            for names in list(self._names.values()) if in_use() else ():
                try:
                    await names.read_back()
                    await names.fresh(EVERY / 2)
                except (ResourceError, ConfigError) as error:
                    failed(error)
