"""From a real provider to a login here, through the whole gateway; and from the provider's logout to the end of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from providers import Browser, OpenIdProvider, SamlIdp
from tidegate.clock import SystemClock
from tidegate.enforcement.access import BROWSER, Minted
from tidegate.enforcement.federation import callback as way_back
from tidegate.errors import TidegateError
from tidegate.identity.oidc import OidcProvider
from tidegate.identity.providers import Begun, Provider
from tidegate.identity.saml import SamlProvider
from tidegate.model.identity import Identity
from tidegate.settings import Settings
from tidegate.settings_login import Oidc, Saml
from tidegate.store.box import Box
from unit.web.world import World

URL = "http://127.0.0.1:7443"
BACK = f"{URL}/login/corp/callback"
ACS, US = f"{URL}/login/work/acs", f"{URL}/login/work/metadata"
LOGIN = """
web: {{url: "{url}"}}
login:
  providers:
    corp:
      {{kind: oidc, title: The company, issuer: "{issuer}", client_id: gw, secret: env:UNUSED, userinfo: true,
       scopes: [openid, profile, email, groups], join: true, groups: {{dba: dba}}}}
"""
SAML = "    work: {{kind: saml, metadata: '{metadata}', trusted_email: true, groups: {{dba: dba}}}}\n"


def providers(settings: Settings) -> Mapping[str, Provider]:
    """The providers as the application makes them, with the client's secret at hand."""

    async def secret() -> str:
        return "s3cr3t/+%~:x"

    found: dict[str, Provider] = {}
    for name, written in settings.login.providers.items():
        if isinstance(written, Oidc):
            found[name] = OidcProvider(name, written, secret, SystemClock(), Box(bytes(32)), settings.login.life)
        elif isinstance(written, Saml):
            found[name] = SamlProvider(name, written, way_back(URL, name, "saml"), US, SystemClock())
    return found


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamlIdp]:
    """A SAML provider."""
    with SamlIdp(tmp_path_factory.mktemp("idp"), US, ACS) as started:
        yield started


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, idp: SamlIdp) -> Iterator[tuple[World, OpenIdProvider]]:
    """A gateway and an OpenID provider that know each other."""
    op = OpenIdProvider(BACK, post_logout_redirect_uris=[URL])
    more = LOGIN.format(url=URL, issuer=op.issuer) + SAML.format(metadata=idp.metadata)
    with World(tmp_path_factory.mktemp("gateway"), more=more, providers=providers) as world:
        op.client |= {"backchannel_logout_uri": f"{world.url}/login/corp/backchannel"}
        op.client |= {"backchannel_logout_session_required": True}
        with op:
            world.login("root")
            yield world, op


@pytest.fixture
def world(pair: tuple[World, OpenIdProvider]) -> World:
    """The gateway."""
    return pair[0]


@pytest.fixture
def op(pair: tuple[World, OpenIdProvider]) -> Iterator[OpenIdProvider]:
    """The OpenID provider, with everybody in it again afterwards."""
    yield pair[1]
    pair[1].people(alice={"groups": ["admins", "dba"]}, bob={"groups": ["dba"]})


def alice(name: str = "alice") -> Browser:
    """Somebody's browser."""
    return Browser(login=name, username=name, password="any")


def begun(world: World, name: str = "corp", *, fresh: bool = False) -> Begun:
    """The way there."""
    return world.call(lambda: world.federation.begin(name, fresh=fresh))


def login(world: World, browser: Browser, name: str = "corp", audience: str = "tidegate") -> Minted:
    """Somebody logs in."""
    way = begun(world, name)
    answer = browser.visit(way.url, way.flow.callback)
    return world.call(lambda: world.federation.login(way.flow, answer, peer="192.0.2.1", audience=audience))


def me(world: World, minted: Minted) -> int:
    """The status of a call with a login."""
    return world.http.get("/me", headers={"Authorization": f"Bearer {minted.token}"}).status_code


def code(call: Callable[[], object]) -> str:
    """The code of a refusal."""
    with pytest.raises(TidegateError) as caught:
        call()
    return caught.value.code


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it does; the provider tells of a logout in its own time."""
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


def test_the_ways(world: World) -> None:
    """What the login page offers."""
    assert [(way.name, way.title, way.kind) for way in world.federation.ways] == [
        ("corp", "The company", "oidc"),
        ("work", "work", "saml"),
    ]
    assert code(lambda: begun(world, "absent")) == "login.unknown"


def test_an_openid_login(world: World, op: OpenIdProvider) -> None:
    """It is a login like any other: half a day long, in the log with its method and address, with mapped groups."""
    minted = login(world, alice())
    assert me(world, minted) == 200
    person = world.directory_.named("alice").hop
    assert person.groups == ("dba",)
    assert minted.claims.expires - minted.claims.issued == 12 * 3600
    assert minted.identity.person.proof == "oidc:corp"
    leaf = world.leaves("auth.ok")[-1]
    assert (leaf["how"], leaf["sub"], leaf["jti"]) == ("oidc:corp", person.subject, minted.claims.id)
    assert "192.0.2.1" not in str(leaf)


def test_a_browsers_login_is_not_the_terminals(world: World, op: OpenIdProvider) -> None:
    """Its token is of another audience."""
    minted = login(world, alice(), audience=BROWSER)
    assert me(world, minted) == 401


def test_a_saml_login(world: World) -> None:
    """Nobody joins here; who was invited by their address comes in."""
    assert code(lambda: login(world, alice("bob"), "work")) == "login.stranger"
    assert world.leaves("auth.fail")[-1]["code"] == "login.stranger"
    world.login("robert", "staff")
    answer = world.post("/people/robert/links", "root", {"provider": "work", "email": "bob@example.test"})
    assert answer.status_code == 201, answer.text
    minted = login(world, alice("bob"), "work")
    assert (minted.identity.person.name, minted.identity.person.proof) == ("robert", "saml:work")
    assert world.directory_.named("robert").hop.groups == ("dba", "staff")


def test_a_fresh_login_confirms_the_person(world: World, op: OpenIdProvider) -> None:
    """Their own, made anew; not somebody else's, and not one that was remembered."""
    browser = alice()
    login(world, browser)
    who = world.call(lambda: world.access.chain("alice"))
    confirm = world.federation.confirm

    def confirmed(by: Browser, *, fresh: bool = True, person: Identity = who) -> str:
        way = begun(world, fresh=fresh)
        answer = by.visit(way.url, way.flow.callback)
        return world.call(lambda: confirm(way.flow, answer, person, peer=""))

    assert confirmed(browser) == "oidc:corp"
    assert code(lambda: confirmed(alice("bob"))) == "login.other"
    assert code(lambda: confirmed(browser, fresh=False)) == "login.other"
    way = begun(world, fresh=True)
    remembered = way.url.replace("prompt=login", "").replace("&max_age=0", "")
    answer = browser.visit(remembered, BACK)
    assert code(lambda: world.call(lambda: confirm(way.flow, answer, who, peer=""))) == "login.stale"


def test_a_state_of_somebody_else(world: World, op: OpenIdProvider) -> None:
    """Login CSRF: an answer that belongs to another flow is refused and counted."""
    mine, theirs = begun(world), begun(world)
    answer = alice("bob").visit(theirs.url, BACK)
    assert code(lambda: world.call(lambda: world.federation.login(mine.flow, answer, peer=""))) == "login.flow"
    assert world.leaves("auth.fail")[-1]["code"] == "login.flow"


def test_a_disabled_person_stays_out(world: World, op: OpenIdProvider) -> None:
    """Whatever the provider says."""
    op.people(carol={})
    login(world, alice("carol"))
    assert world.post("/people/carol/disable", "root").status_code == 200
    assert code(lambda: login(world, alice("carol"))) == "identity.disabled"


def test_the_provider_logs_somebody_out(world: World, op: OpenIdProvider) -> None:
    """Its own back-channel request, from a real logout there, ends the logins here and is an event."""
    browser = alice("bob")
    minted, other = login(world, browser), login(world, alice())
    assert me(world, minted) == 200
    browser.leave(op.issuer)
    eventually(lambda: me(world, minted) == 401)
    assert me(world, other) == 200
    leaf = world.leaves("kill.ordered")[-1]
    assert (leaf["by"], leaf["id"]) == ("idp:corp", world.directory_.named("bob").hop.subject)
    assert me(world, login(world, browser)) == 200


def test_somebody_who_is_gone_at_the_provider(world: World, op: OpenIdProvider) -> None:
    """The next look with the refresh token ends everything; somebody who is still there goes on."""
    op.people(dave={}, alice={})
    minted, other = login(world, alice("dave")), login(world, alice())
    world.call(lambda: world.federation.look("corp"))
    assert me(world, minted) == 200
    op.people(alice={})
    world.call(lambda: world.federation.look("corp"))
    assert (me(world, minted), me(world, other)) == (401, 200)


def test_groups_follow_the_provider(world: World, op: OpenIdProvider) -> None:
    """With the next login."""
    op.people(erin={"groups": ["dba"]})
    login(world, alice("erin"))
    assert world.directory_.named("erin").hop.groups == ("dba",)
    op.people(erin={"groups": []})
    login(world, alice("erin"))
    assert world.directory_.named("erin").hop.groups == ()


@pytest.mark.parametrize(
    "body", [b"", b"logout_token=", b"logout_token=a&logout_token=b", b"logout_token=a.b.c", b"\xff\xfe"]
)
def test_logouts_that_are_none(world: World, body: bytes) -> None:
    """They end nothing, and the answer is that of the specification."""
    kinds = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = world.http.post(f"{world.url}/login/corp/backchannel", content=body, headers=kinds)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert answer.headers["cache-control"] == "no-store"


def test_who_sends_no_logouts(world: World) -> None:
    """SAML providers, and those that are not there."""
    for name in ("work", "absent"):
        answer = world.http.post(f"{world.url}/login/{name}/backchannel", data={"logout_token": "a.b.c"})
        assert (answer.status_code, answer.json()["code"]) == (400, "login.unknown")


def test_our_metadata(world: World) -> None:
    """A SAML provider reads it without a login; an OpenID provider has none."""
    answer = world.http.get(f"{world.url}/login/work/metadata")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/samlmetadata+xml")
    assert ACS in answer.text and US in answer.text
    assert world.http.get(f"{world.url}/login/corp/metadata").status_code == 404


def test_links_by_the_api(world: World) -> None:
    """Listed, made and ended by who operates; seen by the person."""
    world.login("frank")
    made = world.post("/people/frank/links", "root", {"provider": "corp", "subject": "00u7"})
    assert made.status_code == 201
    id = made.json()["id"]
    assert made.json() == {"id": id, "provider": "corp", "subject": "00u7", "email": "", "leaf": made.json()["leaf"]}
    for by in ("root", "frank"):
        assert [row["id"] for row in world.get("/people/frank/links", by).json()["items"]] == [id]
    world.login("gina")
    assert world.get("/people/frank/links", "gina").status_code == 403
    assert world.post("/people/frank/links", "gina", {"provider": "corp", "subject": "x"}).status_code == 403
    assert world.delete(f"/people/frank/links/{id}", "gina").status_code == 403
    assert world.delete(f"/people/frank/links/{id}", "root").status_code == 200
    assert world.delete(f"/people/frank/links/{id}", "root").status_code == 404
    assert world.get("/people/frank/links", "root").json()["items"] == []
    joined = world.post("/people/gina/links", "root", {"same_as": "frank"})
    assert joined.status_code == 201
    assert world.directory_.named("gina").hop.same == world.directory_.named("frank").hop.subject


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"provider": "corp"},
        {"provider": "absent", "subject": "x"},
        {"provider": "corp", "subject": "x", "email": "a@b"},
        {"provider": "corp", "same_as": "alice"},
        {"provider": "corp", "subject": " x"},
        {"provider": "corp", "subject": "x\n"},
        {"provider": "corp", "email": "nobody"},
        {"provider": "corp", "subject": "x", "more": 1},
        {"subject": "x"},
    ],
)
def test_links_that_make_no_sense(world: World, body: Mapping[str, object]) -> None:
    """Exactly one thing is said, of a provider that there is."""
    assert world.post("/people/root/links", "root", body).status_code in (400, 403, 404)
