"""From a reference to a credential, at the moment of use: nothing is cached, so that a rotation counts at once.

What cannot be had is refused with the reference in the error, never with a value. Every value is checked before use,
whoever it comes from: it ends up in the middle of a login.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from tidegate.errors import ConfigError, ResourceError
from tidegate.model.secret import Credential, Reference, parse
from tidegate.settings import Settings, resolve

from .leases import Leases, Record, Use
from .vault import Vault

LONGEST_USER, LONGEST = 128, 64 * 1024
"""Characters of a user and of a password."""


class Kept(Protocol):
    """The secrets that the gateway keeps itself."""

    def value(self, name: str) -> str:
        """The value of one; may block. Raises ConfigError, IntegrityError."""


class Secrets:
    """Every kind of reference; event loop only. ``record`` and ``durable`` reach the audit log."""

    def __init__(self, settings: Settings, kept: Kept, record: Record, durable: Callable[[], Awaitable[None]]) -> None:
        self._base = settings.base
        self._kept = kept
        self._vault = Vault(settings.vault, local(settings.base)) if settings.vault else None
        self._leases = Leases(self._vault, record, durable) if self._vault else None

    async def take(self, text: str, user: str, refused: Credential | None = None) -> Use:
        """The credential that ``text`` refers to, for ``user`` unless the user comes with it.

        ``refused`` was just refused by the upstream. Raises ResourceError, ConfigError, IntegrityError.
        """
        reference = parse(text)
        if reference is None:
            raise ConfigError("a secret is written by reference", hint="See the page on secrets.", code="config.secret")
        try:
            if reference.leased and self._leases is not None:
                return _checked(await self._leases.take(text, reference, refused))
            return _checked(Use(await self._read(text, reference, user)))
        except ResourceError as error:
            words = f"The credential ({text}) cannot be had: {error.message}"
            raise ResourceError(words, hint=error.hint, code=error.code) from None
        except ConfigError as error:
            words = f"The credential ({text}) cannot be had: {error.message}"
            raise ConfigError(words, hint=error.hint, code=error.code) from None

    async def run(self) -> None:
        """Look after accounts in use until cancelled."""
        if self._leases is not None:
            await self._leases.run()

    async def close(self) -> None:
        """Give back what was lent, as far as its owner can be reached."""
        if self._leases is not None and self._vault is not None:
            await self._leases.close()
            await self._vault.close()

    async def _read(self, text: str, reference: Reference, user: str) -> Credential:
        if reference.kind == "store":
            return Credential(user, await asyncio.to_thread(self._kept.value, reference.name))
        if reference.kind != "vault":
            return Credential(user, await asyncio.to_thread(resolve, text, self._base))
        if self._vault is None:
            raise ConfigError("no `vault:` is configured", hint="Add the section `vault`.", code="config.secret")
        if reference.whole:
            return Credential(*await self._vault.standing(reference))
        return Credential(user, await self._vault.field(reference))


def local(base: Path) -> Callable[[str], str]:
    """Reads references that need no other server: ``env:`` and ``file:``."""
    return lambda text: resolve(text, base)


def _checked(use: Use) -> Use:
    """A user is a name and a password is text: neither can end a string early or begin another parameter."""
    user, password = use.credential.user, use.credential.password
    if not (user.isprintable() and len(user) <= LONGEST_USER and "\0" not in password and len(password) <= LONGEST):
        use.release()
        raise ResourceError("it is no user and password.", hint="Ask an operator.", code="secret.unusable")
    return use
