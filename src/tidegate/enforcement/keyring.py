"""The upstream credentials in use: which session has which, and what therefore must never be shown to an agent.

A credential is read at the moment of use. One that the upstream refuses is read anew once: it may just have been
rotated. Invariants: a value is known to every session's scrub before the upstream can send it back, until the last
connection that uses it has ended; an account is given back when nobody uses it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from tidegate.errors import ResourceError
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.secrets.leases import Use

from .scrub import Known

REFUSED = "resource.login"
"""Code of the error when an upstream does not take a login."""

T = TypeVar("T")
Enter = Callable[[Credential], Awaitable[T]]
"""Logs in and does something. Raises ResourceError with the code ``REFUSED`` when it is not let in."""


class Source(Protocol):
    """Where credentials come from; see ``secrets.source.Secrets``."""

    async def take(self, text: str, user: str, refused: Credential | None = None) -> Use:
        """The credential that a reference stands for."""


class Keyring:
    """Event loop only. ``over`` ends a session, by id, whose account has ended."""

    def __init__(self, source: Source, over: Callable[[str], None]) -> None:
        self._source = source
        self._over = over
        self._known: dict[str, Known] = {}
        self._used: dict[str, list[Use]] = {}
        self._sessions: dict[str, tuple[Resource, Use]] = {}
        self._own: dict[str, tuple[str, ...]] = {}
        self._elsewhere: dict[tuple[int, str], tuple[str, ...]] = {}
        self.told: Callable[[str, tuple[str, ...]], None] = lambda _, __: None
        """Hears of every change of what this process uses for a resource, before it is used."""

    def known(self, resource: Resource) -> Known:
        """The values in use for a resource, as they change."""
        return self._known.setdefault(resource.name, Known())

    def elsewhere(self, process: int, resource: str, values: tuple[str, ...]) -> None:
        """What another process uses for a resource."""
        self._elsewhere[process, resource] = values
        self._merge(resource)

    async def open(self, sid: str, resource: Resource, enter: Enter[T]) -> T:
        """Log a session in; its credential is in use until ``close``. Raises ResourceError, ConfigError."""
        use, entered = await self._entered(resource, await self._take(resource), enter)
        self._sessions[sid] = (resource, use)
        use.over = lambda: self._over(sid)
        if use.ended:
            self._over(sid)  # while it logged in
        return entered

    def close(self, sid: str) -> None:
        """The session is over; may be said twice."""
        if sid in self._sessions:
            self._drop(*self._sessions.pop(sid))

    async def borrow(self, resource: Resource, enter: Enter[T]) -> T:
        """Log in for the gateway's own questions, with what a session has if there is any. Raises as ``open``."""
        held = [use for of, use in self._sessions.values() if of.name == resource.name and not use.ended]
        use = self._begin(resource, Use(held[-1].credential, held[-1].lease)) if held else await self._take(resource)
        use, entered = await self._entered(resource, use, enter)
        self._drop(resource, use)
        return entered

    async def _entered(self, resource: Resource, use: Use, enter: Enter[T]) -> tuple[Use, T]:
        try:
            return use, await enter(use.credential)
        except ResourceError as error:
            self._drop(resource, use)
            if error.code != REFUSED:
                raise
            refusal = error
        except BaseException:
            self._drop(resource, use)
            raise
        again = await self._take(resource, use.credential)
        try:
            if again.credential == use.credential:
                raise refusal  # asking again with the same could lock the account
            return again, await enter(again.credential)
        except BaseException:
            self._drop(resource, again)
            raise

    async def _take(self, resource: Resource, refused: Credential | None = None) -> Use:
        if not resource.secret:
            return self._begin(resource, Use(Credential(resource.user)))
        return self._begin(resource, await self._source.take(resource.secret, resource.user, refused))

    def _begin(self, resource: Resource, use: Use) -> Use:
        self._used.setdefault(resource.name, []).append(use)
        self._changed(resource.name)
        return use

    def _drop(self, resource: Resource, use: Use) -> None:
        use.release()
        self._used[resource.name].remove(use)
        self._changed(resource.name)

    def _changed(self, resource: str) -> None:
        values = tuple(sorted({use.credential.password for use in self._used[resource]}))
        if values != self._own.get(resource, ()):
            self._own[resource] = values
            self._merge(resource)
            self.told(resource, values)

    def _merge(self, resource: str) -> None:
        others = {value for (_, of), values in self._elsewhere.items() if of == resource for value in values}
        known = self._known.setdefault(resource, Known())
        values = tuple(sorted({*self._own.get(resource, ()), *others}))
        if values != known.values:
            known.change(values)
