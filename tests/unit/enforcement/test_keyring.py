"""The credentials in use: read anew when refused, known to scrubs, given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tidegate.enforcement.keyring import Keyring
from tidegate.errors import ConfigError, ResourceError
from tidegate.model.resource import Address, Resource
from tidegate.model.secret import Credential
from tidegate.secrets.leases import Use

SHOP = Resource("shop", "any", Address("127.0.0.1", 1), user="gw", secret="store:shop")


class Source:
    """Gives one password after the other; ``released`` were given back."""

    def __init__(self, *passwords: str) -> None:
        self.left = list(passwords)
        self.taken: list[Credential | None] = []
        self.uses: list[Use] = []

    async def take(self, text: str, user: str, refused: Credential | None = None) -> Use:
        assert (text, user) == ("store:shop", "gw")
        self.taken.append(refused)
        if not self.left:
            raise ConfigError("the secret is not there", code="secret.missing")
        self.uses.append(Use(Credential(user, self.left.pop(0))))
        return self.uses[-1]


def play(source: Source, story: Callable[[Keyring], Awaitable[Any]]) -> list[str]:
    """Play a story; the sessions whose account ended."""
    ended: list[str] = []
    asyncio.run(story(Keyring(source, ended.append)))  # type: ignore[arg-type]
    return ended


def accepting(*passwords: str) -> Callable[[Credential], Awaitable[str]]:
    """An upstream that lets these in."""

    async def enter(credential: Credential) -> str:
        if credential.password not in passwords:
            raise ResourceError("The upstream refused the gateway.", code="resource.login")
        return credential.password

    return enter


def test_known_as_long_as_it_is_used() -> None:
    """Each value in use is known, the old beside the new, until its last session has ended."""

    async def story(keyring: Keyring) -> None:
        known = keyring.known(SHOP)
        assert await keyring.open("s1", SHOP, accepting("old-password")) == "old-password"
        assert await keyring.open("s2", SHOP, accepting("new-password")) == "new-password"
        assert known.values == ("new-password", "old-password")
        keyring.close("s1")
        keyring.close("s1")
        assert known.values == ("new-password",)
        keyring.close("s2")
        assert known.values == ()

    play(Source("old-password", "new-password"), story)


def test_known_before_the_upstream_can_answer() -> None:
    """An upstream that echoes a password at once, in an error, is scrubbed already."""

    async def story(keyring: Keyring) -> None:
        async def enter(credential: Credential) -> None:
            assert keyring.known(SHOP).values == (credential.password,)
            raise ResourceError("down", code="resource.unreachable")

        with pytest.raises(ResourceError, match="down"):
            await keyring.open("s1", SHOP, enter)
        assert keyring.known(SHOP).values == ()

    play(Source("old-password", "new-password"), story)


def test_refused_and_read_anew() -> None:
    """A rotation between reading and logging in is no failure; what was refused is said to the source."""
    source = Source("old-password", "new-password")

    async def story(keyring: Keyring) -> None:
        assert await keyring.open("s1", SHOP, accepting("new-password")) == "new-password"
        assert keyring.known(SHOP).values == ("new-password",)

    play(source, story)
    assert source.taken == [None, Credential("gw", "old-password")]


@pytest.mark.parametrize(
    ("passwords", "asked", "error"),
    [
        (("same", "same"), 1, ResourceError),
        (("one", "two"), 2, ResourceError),
        (("one",), 1, ConfigError),
    ],
)
def test_refused_for_good(passwords: tuple[str, ...], asked: int, error: type[Exception]) -> None:
    """The same value is not tried twice, since that could lock the account; another one once, not more."""
    tried: list[str] = []

    async def story(keyring: Keyring) -> None:
        async def enter(credential: Credential) -> None:
            tried.append(credential.password)
            raise ResourceError("refused", code="resource.login")

        with pytest.raises(error):
            await keyring.open("s1", SHOP, enter)
        assert keyring.known(SHOP).values == ()

    play(Source(*passwords, *passwords[1:]), story)
    assert len(tried) == asked


def test_the_gateways_own_questions_borrow() -> None:
    """They use what a session has, so that nobody needs the source; without a session they ask it."""
    source = Source("old-password", "new-password")

    async def story(keyring: Keyring) -> None:
        await keyring.open("s1", SHOP, accepting("old-password"))
        assert await keyring.borrow(SHOP, accepting("old-password")) == "old-password"
        assert len(source.taken) == 1
        assert await keyring.borrow(SHOP, accepting("new-password")) == "new-password"
        keyring.close("s1")
        assert keyring.known(SHOP).values == ()

    play(source, story)


def test_an_account_that_ends() -> None:
    """The session that uses it is ended, also when it ends while the session logs in; closed ones hear nothing."""

    class Leased:
        """Stands for a lease: who uses it."""

        def __init__(self) -> None:
            self.uses: list[Use] = []
            self.idle = 0.0

    class Lending(Source):
        async def take(self, text: str, user: str, refused: Credential | None = None) -> Use:
            self.uses.append(Use(Credential("v-1", "password"), Leased()))  # type: ignore[arg-type]
            return self.uses[-1]

    source = Lending()

    async def story(keyring: Keyring) -> None:
        await keyring.open("s1", SHOP, accepting("password"))
        await keyring.open("s2", SHOP, accepting("password"))
        keyring.close("s2")
        assert source.uses[1].ended
        over = source.uses[0].over
        assert over is not None
        over()

        async def enter(credential: Credential) -> None:
            assert source.uses[2].lease is not None
            source.uses[2].lease.uses.clear()

        await keyring.open("s3", SHOP, enter)

    assert play(source, story) == ["s1", "s3"]


def test_a_resource_without_a_secret() -> None:
    """It is entered without a password, and no source is asked."""

    async def story(keyring: Keyring) -> None:
        open_to_all = Resource("open", "any", Address("127.0.0.1", 1), user="gw")
        assert await keyring.open("s1", open_to_all, accepting("")) == ""

    play(Source(), story)


def test_what_other_processes_use_is_known_too() -> None:
    """Together with one's own, until they say otherwise; they hear of a change before it is used."""
    told: list[tuple[str, tuple[str, ...]]] = []

    async def story(keyring: Keyring) -> None:
        keyring.told = lambda resource, values: told.append((resource, values))
        keyring.elsewhere(2, "shop", ("another-password",))
        keyring.elsewhere(2, "crm", ("password-of-the-crm",))

        async def enter(credential: Credential) -> None:
            assert told == [("shop", ("old-password",))]

        await keyring.open("s1", SHOP, enter)
        assert keyring.known(SHOP).values == ("another-password", "old-password")
        keyring.elsewhere(2, "shop", ())
        assert keyring.known(SHOP).values == ("old-password",)
        keyring.close("s1")
        assert told[1:] == [("shop", ())]

    play(Source("old-password"), story)
