"""What is asked of Vault, and the gateway's own token there: obtained by its login method, renewed, given back.

Whatever a token made ends with the token. So a lease knows the token that it was made under, and a token that cannot be
renewed any further is replaced for what is new while it still carries its leases. Nothing is cached: a value is read
each time. Source: OpenBao and HashiCorp Vault, "HTTP API". Times are the loop's, in seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tidegate.errors import ConfigError, ResourceError
from tidegate.model.secret import Reference
from tidegate.settings_vault import Vault as Settings

from .exchange import Answer, Exchange, unusable

DENIED = "secret.denied"

LONGEST_LIFE = 10 * 365 * 86_400
"""Seconds; what is said to last longer is nonsense."""

LONGEST_NAME = 512
"""Characters of a user and of a lease's id, which go into the audit log."""

FAREWELL = 3.0
"""Seconds at the end in which Vault may answer."""


@dataclass(slots=True)
class Life:
    """Until when something lasts that Vault gave for ``span`` seconds, infinite for what has no end.

    ``last``: a renewal gave so little that there will be no other; nothing new should rest on it.
    """

    span: float
    ends: float
    renewable: bool
    last: bool = False

    def due(self, now: float) -> bool:
        """Whether a third of it has passed and more can be had."""
        return self.renewable and not self.last and self.ends - now < self.span * 2 / 3

    def ageing(self, now: float) -> bool:
        """Whether something that begins now should have a fresh one."""
        return self.last or self.ends <= now or (not self.renewable and self.ends - now < self.span / 2)

    def renewed(self, seconds: float, asked: float) -> None:
        """It was renewed for so long; the question was sent at ``asked``."""
        self.ends = asked + seconds
        self.last = seconds <= self.span / 2


@dataclass(slots=True, eq=False)
class Token:
    """A token of the gateway's at Vault. ``own``: by a login of its own, so it is given back when it has no leases."""

    value: str = field(repr=False)
    life: Life
    own: bool
    leases: int = 0


@dataclass(slots=True, eq=False)
class Account:
    """An account that Vault made: it lasts no longer than the token it was made under."""

    id: str
    user: str
    password: str = field(repr=False)
    life: Life
    token: Token

    @property
    def ends(self) -> float:
        """When the account ends unless it is renewed."""
        return min(self.life.ends, self.token.life.ends)


class Vault:
    """One server; event loop only. ``resolve`` gives the value of a reference, and may block.

    Every method raises ResourceError ``secret.unavailable`` when the server gives no usable answer, ``secret.denied``
    when it refuses, ConfigError for what the operator wrote.
    """

    def __init__(self, settings: Settings, resolve: Callable[[str], str]) -> None:
        self._settings = settings
        self._resolve = resolve
        self._exchange = Exchange(settings.address, ca=settings.ca, namespace=settings.namespace)
        self._turn = asyncio.Lock()
        self._token: Token | None = None
        self._retired: list[Token] = []

    async def field(self, reference: Reference) -> str:
        """A field of the newest version of a secret (KV version 2)."""
        answer, _ = await self._ask("GET", f"{reference.mount}/data/{reference.name}")
        data = _granted(answer).part("data").get("data")
        value = data.get(reference.field) if isinstance(data, dict) else None
        if value is None:
            raise _missing("the secret has no such field")
        return _text(value)

    async def standing(self, reference: Reference) -> tuple[str, str]:
        """User and password of an account whose password Vault itself changes (a static role)."""
        answer, _ = await self._ask("GET", f"{reference.mount}/{reference.name}")
        data = _granted(answer).part("data")
        return _name(data.get("username")), _text(data.get("password"))

    async def account(self, reference: Reference) -> Account:
        """A fresh account, made for the asking."""
        asked = _now()
        answer, token = await self._ask("GET", f"{reference.mount}/{reference.name}")
        data = _granted(answer).part("data")
        user, password = _name(data.get("username")), _text(data.get("password"))
        made = Account(_name(answer.body.get("lease_id")), user, password, _life(answer.body, asked), token)
        if made.life.span is math.inf:
            raise unusable()
        token.leases += 1
        return made

    async def renew(self, account: Account) -> bool:
        """Ask for as long as it had at first; False when Vault has ended it."""
        asked = _now()
        body = {"lease_id": account.id, "increment": int(account.life.span)}
        answer, _ = await self._ask("POST", "sys/leases/renew", body)
        if answer.status == 400:
            return False
        account.life.renewed(_seconds(_granted(answer).body), asked)
        return True

    async def revoke(self, account: Account) -> None:
        """End an account; one that has ended already is fine."""
        answer, _ = await self._ask("POST", "sys/leases/revoke", {"lease_id": account.id})
        if answer.status != 400:
            _granted(answer)

    async def readable(self, reference: Reference) -> None:
        """Make sure that the gateway's token may read what is referred to, without making an account."""
        if reference.field:
            await self.field(reference)
            return
        path = f"{reference.mount}/{reference.name}"
        answer, _ = await self._ask("POST", "sys/capabilities-self", {"paths": [path]})
        allowed = _granted(answer).body.get(path) or answer.part("data").get(path)
        if not isinstance(allowed, list) or not {"read", "root"} & set(map(str, allowed)):
            raise _denied("its policy does not let the gateway read there")

    async def check(self, reference: Reference) -> None:
        """``readable``, and nothing is left behind."""
        try:
            await self.readable(reference)
        finally:
            await self.close()

    async def upkeep(self) -> None:
        """Renew what tokens are due; give back those that nothing rests on any more."""
        for token in [*self._retired, *((self._token,) if self._token else ())]:
            if token.life.due(_now()):
                await self._renew_token(token)
        for token in [token for token in self._retired if not token.leases]:
            await self._give_back(token)
            self._retired.remove(token)

    async def close(self) -> None:
        """Give back the gateway's own tokens, and with them whatever they made, if Vault hears it; disconnect."""
        tokens = [*self._retired, *((self._token,) if self._token else ())]
        self._token = None
        try:
            async with asyncio.timeout(FAREWELL):
                for token in tokens:
                    await self._give_back(token)
        except (ResourceError, TimeoutError):
            pass  # they end by themselves
        finally:
            await self._exchange.close()

    # the gateway's own token

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> tuple[Answer, Token]:
        token = await self._current()
        answer = await self._exchange.ask(method, quote(path), token.value, body)
        if answer.status == 403 and await self._has_ended(token):
            token = await self._current()
            answer = await self._exchange.ask(method, quote(path), token.value, body)
        return answer, token

    async def _current(self) -> Token:
        """The token that something new may rest on."""
        async with self._turn:
            given = await self._word("token") if self._settings.method == "token" else ""
            now, token = _now(), self._token
            if token is not None and (token.value == given if given else not token.life.ageing(now)):
                return token
            fresh = await (self._known(given) if given else self._log_in())
            if token is not None:
                self._retired.append(token)
            self._token = fresh
            return fresh

    async def _log_in(self) -> Token:
        settings, asked = self._settings, _now()
        words = {name: await self._word(name) for name in settings.words}
        role = {"role": settings.role} if settings.role else {}
        answer = await self._exchange.ask("POST", f"auth/{quote(settings.mount)}/login", body={**role, **words})
        if not answer.ok:
            raise _denied(f"it refuses the gateway's login by {settings.method}")
        given = answer.part("auth")
        return Token(_text(given.get("client_token")), _life(given, asked), own=True)

    async def _known(self, value: str) -> Token:
        asked = _now()
        answer = await self._exchange.ask("GET", "auth/token/lookup-self", value)
        if not answer.ok:
            raise _denied("it does not know the gateway's token")
        data = answer.part("data")
        return Token(value, _life({**data, "lease_duration": data.get("ttl")}, asked), own=False)

    async def _word(self, name: str) -> str:
        return await asyncio.to_thread(self._resolve, self._settings.words[name])

    async def _has_ended(self, token: Token) -> bool:
        """Whether a refusal means that Vault does not know the token any more, and not that its policy says no."""
        if (await self._exchange.ask("GET", "auth/token/lookup-self", token.value)).status != 403:
            return False
        token.life = Life(0, _now(), renewable=False)
        if self._token is token:
            self._token = None
        return self._settings.method != "token"

    async def _renew_token(self, token: Token) -> None:
        asked = _now()
        answer = await self._exchange.ask("POST", "auth/token/renew-self", token.value, {})
        if answer.ok:
            token.life.renewed(_seconds(answer.part("auth")), asked)
        elif not await self._has_ended(token):
            token.life.last = True

    async def _give_back(self, token: Token) -> None:
        if token.own and token.life.ends > _now():
            await self._exchange.ask("POST", "auth/token/revoke-self", token.value, {})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _granted(answer: Answer) -> Answer:
    """The answer, if it is a yes."""
    if answer.status == 404:
        raise _missing("there is nothing at this path")
    if not answer.ok:
        raise _denied("it does not let the gateway read there" if answer.status == 403 else "it refuses the question")
    return answer


def _life(given: Mapping[str, Any], asked: float) -> Life:
    seconds = _seconds(given) or math.inf
    return Life(seconds, asked + seconds, given.get("renewable") is True)


def _seconds(given: Mapping[str, Any]) -> float:
    value = given.get("lease_duration")
    if type(value) is not int or not 0 <= value <= LONGEST_LIFE:
        raise unusable()
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise unusable()
    return value


def _name(value: object) -> str:
    text = _text(value)
    if not text.isprintable() or len(text) > LONGEST_NAME:
        raise unusable()
    return text


def _denied(why: str) -> ResourceError:
    return ResourceError(f"Vault says no: {why}.", hint="Ask an operator; nothing was executed.", code=DENIED)


def _missing(why: str) -> ConfigError:
    return ConfigError(f"Vault has no such secret: {why}.", hint="Ask an operator.", code="secret.missing")
