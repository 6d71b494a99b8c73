"""People log in at a real SAML provider; what it did not say, or did not say to us now, gets nobody in."""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from providers import Browser, SamlIdp
from tidegate.clock import Clock, SystemClock
from tidegate.errors import TidegateError
from tidegate.identity.providers import Begun, Flow
from tidegate.identity.saml import SamlProvider
from tidegate.identity.saml_document import SAML, SAMLP
from tidegate.model.identity import External
from tidegate.settings_login import Joining, Saml

from .conftest import Watch

BACK = "http://127.0.0.1:7443/login/corp/acs"
US = "http://127.0.0.1:7443/login/corp/metadata"
JOINING = Joining(False, {}, "groups", "email", "", trusted_email=True)


class Moving(Watch):
    """The machine's clock, moved by ``offset`` seconds."""

    offset = 0

    def now(self) -> int:
        """Microseconds."""
        return SystemClock().now() + self.offset * 1_000_000


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamlIdp]:
    """A real provider with alice and bob."""
    with SamlIdp(tmp_path_factory.mktemp("idp"), US, BACK) as started:
        yield started


def gateway(idp: SamlIdp, clock: Clock | None = None, us: str = US, **changes: Any) -> SamlProvider:
    """The provider as the gateway knows it."""
    settings = replace(Saml("corp", JOINING, idp.metadata, "", ""), **changes)
    return SamlProvider("corp", settings, BACK, us, clock or SystemClock())


def begun(provider: SamlProvider, **how: Any) -> Begun:
    """The way there."""
    return asyncio.run(provider.begin(BACK, **how))


def finished(provider: SamlProvider, flow: Flow, answer: dict[str, str]) -> External:
    """Who came back."""
    return asyncio.run(provider.finish(flow, answer))


def refused(provider: SamlProvider, flow: Flow, answer: dict[str, str]) -> str:
    """The code with which an answer is refused."""
    with pytest.raises(TidegateError) as caught:
        finished(provider, flow, answer)
    assert caught.value.hint
    return caught.value.code


def alice() -> Browser:
    """Alice's browser."""
    return Browser(username="alice", password="any")


def test_the_way_there(idp: SamlIdp) -> None:
    """A request of ours to the provider's address, in the form of the redirect binding."""
    way = begun(gateway(idp), fresh=True)
    query = parse_qs(urlsplit(way.url).query)
    request = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15))
    assert request.tag == SAMLP + "AuthnRequest"
    assert request.get("ID") == way.flow.secrets["id"]
    assert request.get("ForceAuthn") == "true"
    assert request.get("AssertionConsumerServiceURL") == BACK
    assert request.findtext(SAML + "Issuer") == US
    assert query["RelayState"] == [way.flow.state]
    assert way.url.startswith(idp.url)


def test_somebody_logs_in(idp: SamlIdp) -> None:
    """Subject, name, address and groups are the provider's."""
    provider = gateway(idp)
    way = begun(provider)
    who = finished(provider, way.flow, alice().visit(way.url, BACK))
    assert who == External(
        "corp", "alice", "alice", "alice@example.test", ("admins", "dba"), "saml:corp", who.authenticated
    )
    assert abs(who.authenticated - SystemClock().now() // 1_000_000) < 60


def test_an_attribute_as_subject(idp: SamlIdp) -> None:
    """Exactly one value of it; an attribute that is not there names nobody."""
    provider = gateway(idp, subject_claim="email")
    way = begun(provider)
    assert finished(provider, way.flow, alice().visit(way.url, BACK)).subject == "alice@example.test"
    for claim in ("groups", "absent"):
        provider = gateway(idp, subject_claim=claim)
        way = begun(provider)
        assert refused(provider, way.flow, alice().visit(way.url, BACK)) == "login.answer"


def test_addresses_are_not_trusted_by_themselves(idp: SamlIdp) -> None:
    """Unless the operator says that the provider has verified them."""
    provider = gateway(idp, joining=replace(JOINING, trusted_email=False))
    way = begun(provider)
    assert finished(provider, way.flow, alice().visit(way.url, BACK)).email == ""


def test_a_fresh_login_asks_again(idp: SamlIdp) -> None:
    """ForceAuthn makes somebody who is logged in at the provider type the password once more."""
    provider, browser = gateway(idp), alice()
    for fresh, asked in ((False, 1), (False, 1), (True, 2)):
        way = begun(provider, fresh=fresh)
        finished(provider, way.flow, browser.visit(way.url, BACK))
        assert browser.asked == asked


def test_a_remembered_login_is_not_fresh(idp: SamlIdp) -> None:
    """A provider that did not ask again is found out by the time that it gives."""
    clock = Moving()
    provider, browser = gateway(idp, clock), alice()
    way = begun(provider)
    finished(provider, way.flow, browser.visit(way.url, BACK))
    way = begun(provider)
    answer = browser.visit(way.url, BACK)
    clock.offset = 200
    pretended = replace(way.flow, fresh=True, began=way.flow.began + 190)
    assert refused(provider, pretended, answer) == "login.stale"


def test_an_answer_is_used_once(idp: SamlIdp) -> None:
    """The same response again, to the same flow: the assertion is remembered."""
    provider = gateway(idp)
    way = begun(provider)
    answer = alice().visit(way.url, BACK)
    finished(provider, way.flow, answer)
    assert refused(provider, way.flow, answer) == "login.replayed"


def test_an_answer_to_another_question(idp: SamlIdp) -> None:
    """A response that somebody else's request brought about, whatever state comes with it."""
    provider = gateway(idp)
    one, other = begun(provider), begun(provider)
    answer = alice().visit(one.url, BACK)
    assert refused(provider, other.flow, answer) == "login.flow"
    assert refused(provider, other.flow, answer | {"RelayState": other.flow.state}) == "login.answer"
    assert finished(provider, one.flow, answer).subject == "alice"


def test_times(idp: SamlIdp) -> None:
    """Too late and too early by more than a minute of skew."""
    clock = Moving()
    provider = gateway(idp, clock)
    way = begun(provider)
    answer = alice().visit(way.url, BACK)
    for offset in (3600, -3600):
        clock.offset = offset
        assert refused(provider, replace(way.flow, began=way.flow.began + offset), answer) == "login.answer"
    clock.offset = 0
    assert finished(provider, way.flow, answer).subject == "alice"


def test_for_somebody_else(idp: SamlIdp) -> None:
    """Another audience, another address, another provider's name."""
    provider = gateway(idp)
    way = begun(provider)
    answer = alice().visit(way.url, BACK)
    assert refused(gateway(idp, us="https://other"), way.flow, answer) == "login.answer"
    elsewhere = replace(way.flow, callback=BACK.replace("corp", "other"))
    assert refused(provider, elsewhere, answer) == "login.answer"
    assert refused(provider, replace(way.flow, callback=BACK[:-1]), answer) == "login.answer"
    renamed = idp.directory / "renamed.xml"
    renamed.write_text(idp.metadata.read_text().replace(idp.entity_id, idp.entity_id + "2"))
    assert refused(gateway(idp, metadata=renamed), way.flow, answer) == "login.answer"


def test_another_providers_key(idp: SamlIdp, tmp_path: Path) -> None:
    """The key is the one in the metadata, not the one that the response brings along."""
    provider = gateway(idp)
    way = begun(provider)
    answer = alice().visit(way.url, BACK)
    from providers import _pair

    _, certificate = _pair(tmp_path)
    text = idp.metadata.read_text()
    document = etree.fromstring(text.encode())
    for element in document.iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate"):
        element.text = "".join(certificate.decode().splitlines()[1:-1])
    other = tmp_path / "other.xml"
    other.write_bytes(etree.tostring(document))
    assert refused(gateway(idp, metadata=other), way.flow, answer) == "login.answer"


@pytest.mark.parametrize(
    "changes",
    [
        {"response": False},
        {"assertion": False},
        {"algorithm": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"},
        {"format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"},
        {"format": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"},
    ],
)
def test_providers_that_do_too_little(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Both are signed, with SHA-2; somebody is named for ever."""
    with SamlIdp(tmp_path, US, BACK, **changes) as idp:
        provider = gateway(idp)
        way = begun(provider)
        assert refused(provider, way.flow, alice().visit(way.url, BACK)) == "login.answer"


@pytest.mark.parametrize("bits", [384, 512])
def test_longer_hashes(tmp_path: Path, bits: int) -> None:
    """SHA-384 and SHA-512 are fine."""
    with SamlIdp(tmp_path, US, BACK, algorithm=f"http://www.w3.org/2001/04/xmldsig-more#rsa-sha{bits}") as idp:
        provider = gateway(idp)
        way = begun(provider)
        assert finished(provider, way.flow, alice().visit(way.url, BACK)).subject == "alice"


def test_our_description_is_what_a_provider_reads(idp: SamlIdp) -> None:
    """It fits the schema of SAML Metadata 2.0, and says what we demand."""
    from onelogin.saml2.xml_utils import OneLogin_Saml2_XML

    description = gateway(idp).description
    assert not isinstance(OneLogin_Saml2_XML.validate_xml(description, "saml-schema-metadata-2.0.xsd"), str)
    assert b'WantAssertionsSigned="true"' in description
    assert BACK.encode() in description and US.encode() in description


def test_nobody_can_be_asked_for(idp: SamlIdp) -> None:
    """SAML has no way to ask whether somebody is still there."""
    assert asyncio.run(gateway(idp).gone()) == ()
