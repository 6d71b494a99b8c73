"""Every protocol the gateway speaks, by the name that configuration uses: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tidegate.enforcement.door import Door
from tidegate.enforcement.names import Names, Schema
from tidegate.enforcement.stream import Stream
from tidegate.model.resource import Resource

from . import postgres


class Protocols(Protocol):
    """What a protocol's module offers."""

    async def serve(self, stream: Stream, door: Door, resource: Resource | None) -> None:
        """Run one agent's connection; ``resource`` is None on a port that several resources share."""

    async def names(self, door: Door, resource: Resource) -> Names[Schema]:
        """What is known of a resource's objects."""


PROTOCOLS: Mapping[str, Protocols] = {"postgres": postgres}
