"""Every protocol the gateway speaks, by the name that configuration uses: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tidegate.enforcement.door import Door
from tidegate.enforcement.names import Names, Schema
from tidegate.enforcement.stream import Stream
from tidegate.model.impact import Attempt, Impact
from tidegate.model.reading import Reading
from tidegate.model.resource import Resource

from . import http, postgres, redis


class Protocols(Protocol):
    """What a protocol's module offers."""

    ALPN: str
    """Its name in a TLS handshake; empty if it has none."""

    def options(self, resource: Resource) -> None:
        """Check what the resource's ``options`` say. Raises ConfigError."""

    async def serve(self, stream: Stream, door: Door, resource: Resource | None) -> None:
        """Run one agent's connection; ``resource`` is None on a port that several resources share."""

    async def names(self, door: Door, resource: Resource) -> Names[Schema]:
        """What is known of a resource's objects."""

    async def impact(self, door: Door, resource: Resource, attempt: Attempt, *, run: bool) -> Impact:
        """What the attempt would do: an estimate, or with ``run`` what shows when it is done and taken back.

        Raises LogFailure; whatever else fails makes the impact unknown.
        """

    def reading(self, text: str) -> Reading:
        """A statement for people to read. Blocks for a moment; never raises."""

    def redacted(self, text: str) -> str:
        """A statement without any value, empty when it cannot be said so. Blocks for a moment; never raises."""


PROTOCOLS: Mapping[str, Protocols] = {"postgres": postgres, "http": http, "redis": redis}
