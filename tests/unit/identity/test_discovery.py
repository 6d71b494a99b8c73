"""A provider's discovery document: fetched once for all, and not again and again in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from site_server import Site
from tidegate.errors import ResourceError
from tidegate.identity.discovery import Discovery
from tidegate.identity.fetch import Fetch
from tidegate.identity.keysets import FRESH, PAUSE, STALE

from .conftest import Watch

PATH = "/.well-known/openid-configuration"


@pytest.fixture
def site() -> Iterator[Site]:
    """A provider's web server."""
    with Site() as started:
        started.publish(PATH, {"issuer": started.url, "jwks_uri": started.url + "/keys"})
        yield started


@pytest.fixture
def discovery(site: Site, watch: Watch) -> Discovery:
    """Its document."""
    return Discovery(Fetch(), site.url, watch)


def address(discovery: Discovery) -> str:
    """Where its keys are."""
    return asyncio.run(discovery.address("jwks_uri"))


def refused(discovery: Discovery) -> str:
    """The code when there is none."""
    with pytest.raises(ResourceError) as caught:
        address(discovery)
    return caught.value.code


def test_many_ask_once(site: Site, discovery: Discovery, watch: Watch) -> None:
    """And again when it is old."""

    async def crowd() -> None:
        await asyncio.gather(*(discovery.document() for _ in range(30)))

    asyncio.run(crowd())
    watch.seconds += FRESH - 1
    assert address(discovery) == site.url + "/keys"
    assert site.asked[PATH] == 1
    watch.seconds += 1
    address(discovery)
    assert site.asked[PATH] == 2


def test_a_provider_that_is_away(site: Site, discovery: Discovery, watch: Watch) -> None:
    """Everybody is told at once, and it is asked now and then."""
    answer = site.answers.pop(PATH)
    assert [refused(discovery) for _ in range(5)] == ["provider.unreachable"] * 5
    assert site.asked[PATH] == 1
    watch.seconds += PAUSE
    site.answers[PATH] = answer
    assert address(discovery) == site.url + "/keys"


def test_what_was_known_serves_a_while(site: Site, discovery: Discovery, watch: Watch) -> None:
    """An hour, then not any more."""
    address(discovery)
    del site.answers[PATH]
    watch.seconds += STALE - 1
    assert address(discovery) == site.url + "/keys"
    watch.seconds += PAUSE
    assert refused(discovery) == "provider.unreachable"


def test_an_address_that_is_not_there(discovery: Discovery) -> None:
    """It is the provider's fault."""
    with pytest.raises(ResourceError) as caught:
        asyncio.run(discovery.address("token_endpoint"))
    assert caught.value.code == "provider.answer"
