"""Attacks on SAML: a real, signed response, wrapped, cut, stuffed and signed anew, and nobody comes in by it.

Each begins with a response that SimpleSAMLphp made for alice; the attacker wants to be `admin`. That the response
itself is accepted, unchanged and signed anew by the same means, is tested too, so that a refusal says something.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import xmlsec
from lxml import etree

from providers import Browser, SamlIdp
from tidegate.clock import SystemClock
from tidegate.errors import AgentError
from tidegate.identity.providers import Flow
from tidegate.identity.saml import SamlProvider
from tidegate.identity.saml_document import DS, ELEMENTS, SAML, SAMLP, SIZE, demand_shape, plain_xml
from tidegate.model.identity import External
from tidegate.settings_login import Joining, Saml

BACK = "http://127.0.0.1:7443/login/corp/acs"
US = "http://127.0.0.1:7443/login/corp/metadata"
EVIL = "admin"
Node = etree._Element


@dataclass
class Case:
    """A flow under way, and the response that the provider gave for alice."""

    idp: SamlIdp
    flow: Flow
    response: bytes

    def outcome(self, response: bytes | Node) -> External | str:
        """Who comes in with ``response``, or the code with which it is refused."""
        data = response if isinstance(response, bytes) else etree.tostring(response)
        settings = Saml("corp", Joining(False, {}, "groups", "email", "", True), self.idp.metadata, "", "")
        provider = SamlProvider("corp", settings, BACK, US, SystemClock())
        answer = {"RelayState": self.flow.state, "SAMLResponse": base64.b64encode(data).decode()}
        try:
            return asyncio.run(provider.finish(self.flow, answer))
        except AgentError as error:
            assert EVIL not in error.message
            return error.code

    def tree(self) -> Node:
        """The response, to be changed."""
        return etree.fromstring(self.response)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """A real login of alice, up to the moment when her browser would post the response."""
    with SamlIdp(tmp_path_factory.mktemp("idp"), US, BACK) as idp:
        settings = Saml("corp", Joining(False, {}, "groups", "email", ""), idp.metadata, "", "")
        way = asyncio.run(SamlProvider("corp", settings, BACK, US, SystemClock()).begin(BACK))
        answer = Browser(username="alice", password="any").visit(way.url, BACK)
        yield Case(idp, way.flow, base64.b64decode(answer["SAMLResponse"]))


def evil(assertion: Node, id: str = "_evil") -> Node:
    """A copy of an assertion that says the attacker's name, without its signature."""
    copy = deepcopy(assertion)
    copy.set("ID", id)
    for signature in copy.findall(DS + "Signature"):
        copy.remove(signature)
    name = copy.find(f"{SAML}Subject/{SAML}NameID")
    assert name is not None
    name.text = EVIL
    return copy


def bare(element: Node) -> Node:
    """A copy without its own signature."""
    copy = deepcopy(element)
    for signature in copy.findall(DS + "Signature"):
        copy.remove(signature)
    return copy


def parts(response: Node) -> tuple[Node, Node, Node]:
    """The assertion, the assertion's signature and the response's."""
    assertion = response.find(SAML + "Assertion")
    assert assertion is not None
    inner, outer = assertion.find(DS + "Signature"), response.find(DS + "Signature")
    assert inner is not None and outer is not None
    return assertion, inner, outer


def rename(response: Node) -> None:
    """The response says the attacker's name, under another ID."""
    response.set("ID", "_evil")
    name = response.find(f"{SAML}Assertion/{SAML}Subject/{SAML}NameID")
    assert name is not None
    name.text = EVIL


def xsw1(response: Node) -> None:
    """The genuine response within the signature of the forged one."""
    genuine = bare(response)
    rename(response)
    parts(response)[2].append(genuine)


def xsw2(response: Node) -> None:
    """The genuine response before the signature of the forged one."""
    genuine = bare(response)
    rename(response)
    parts(response)[2].addprevious(genuine)


def xsw3(response: Node) -> None:
    """A forged assertion before the genuine one."""
    assertion = parts(response)[0]
    assertion.addprevious(evil(assertion))


def xsw4(response: Node) -> None:
    """A forged assertion around the genuine one."""
    assertion = parts(response)[0]
    forged = evil(assertion)
    response.replace(assertion, forged)
    forged.append(assertion)


def xsw5(response: Node) -> None:
    """The signature in the forged assertion, the genuine one at the end."""
    assertion = parts(response)[0]
    genuine = bare(assertion)
    assertion.set("ID", "_evil")
    assertion.find(f"{SAML}Subject/{SAML}NameID").text = EVIL
    response.append(genuine)


def xsw6(response: Node) -> None:
    """The genuine assertion within the signature in the forged one."""
    assertion, inner, _ = parts(response)
    genuine = bare(assertion)
    assertion.set("ID", "_evil")
    assertion.find(f"{SAML}Subject/{SAML}NameID").text = EVIL
    inner.append(genuine)


def xsw7(response: Node) -> None:
    """A forged assertion in Extensions, where the schema lets anything be."""
    assertion = parts(response)[0]
    extensions = etree.Element(SAMLP + "Extensions")
    extensions.append(evil(assertion, assertion.get("ID", "")))
    assertion.addprevious(extensions)


def xsw8(response: Node) -> None:
    """The genuine assertion in an Object of the signature in the forged one."""
    assertion, inner, _ = parts(response)
    genuine = bare(assertion)
    assertion.set("ID", "_evil")
    assertion.find(f"{SAML}Subject/{SAML}NameID").text = EVIL
    etree.SubElement(inner, DS + "Object").append(genuine)


def same_id(response: Node) -> None:
    """A forged assertion with the genuine one's ID, before it."""
    assertion = parts(response)[0]
    assertion.addprevious(evil(assertion, assertion.get("ID", "")))


def in_status(response: Node) -> None:
    """A forged assertion in StatusDetail, where the schema lets anything be."""
    detail = etree.SubElement(response.find(SAMLP + "Status"), SAMLP + "StatusDetail")
    detail.append(evil(parts(response)[0]))


def in_attribute(response: Node) -> None:
    """A forged assertion as the value of an attribute."""
    assertion = parts(response)[0]
    forged = evil(assertion)
    assertion.find(f".//{SAML}AttributeValue").append(forged)


def foreign_name(response: Node) -> None:
    """A forged assertion of another namespace."""
    assertion = parts(response)[0]
    other = etree.Element("{urn:evil}Assertion")
    other.append(evil(assertion))
    assertion.addprevious(other)


def moved_signature(response: Node) -> None:
    """The assertion's signature under its subject."""
    assertion, inner, _ = parts(response)
    assertion.find(SAML + "Subject").append(inner)


def without_inner(response: Node) -> None:
    """Only the response is signed."""
    assertion, inner, _ = parts(response)
    assertion.remove(inner)


def without_outer(response: Node) -> None:
    """Only the assertion is signed."""
    response.remove(parts(response)[2])


def without_both(response: Node) -> None:
    """Nothing is signed."""
    without_inner(response)
    response.remove(response.find(DS + "Signature"))


def twice_signed(response: Node) -> None:
    """A second signature."""
    inner = parts(response)[1]
    inner.addnext(deepcopy(inner))


def whole_document(response: Node) -> None:
    """A reference to everything, which says nothing of where it is."""
    parts(response)[2].find(f".//{DS}Reference").set("URI", "")


def xpointer(response: Node) -> None:
    """A reference that is a program."""
    reference = parts(response)[1].find(f".//{DS}Reference")
    reference.set("URI", f"#xpointer(id('{reference.get('URI')[1:]}'))")


def elsewhere(response: Node) -> None:
    """A reference to somewhere else."""
    parts(response)[1].find(f".//{DS}Reference").set("URI", "http://127.0.0.1:9/evil")


def two_references(response: Node) -> None:
    """A second reference beside the genuine one."""
    reference = parts(response)[1].find(f".//{DS}Reference")
    reference.addnext(deepcopy(reference))


def xslt(response: Node) -> None:
    """A transform that runs what the document says."""
    transform = parts(response)[1].find(f".//{DS}Transform")
    transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")


def another_canonical_form(response: Node) -> None:
    """A canonical form that keeps comments."""
    method = parts(response)[1].find(f".//{DS}CanonicalizationMethod")
    method.set("Algorithm", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments")


def hmac(response: Node) -> None:
    """A signature by a secret: the certificate is none, but it is known to everybody."""
    parts(response)[1].find(f".//{DS}SignatureMethod").set("Algorithm", "http://www.w3.org/2000/09/xmldsig#hmac-sha1")


def encrypted(response: Node) -> None:
    """An assertion that nobody here can read."""
    etree.SubElement(response, SAML + "EncryptedAssertion")


def changed_name(response: Node) -> None:
    """Another name in the signed assertion."""
    response.find(f"{SAML}Assertion/{SAML}Subject/{SAML}NameID").text = EVIL


def changed_group(response: Node) -> None:
    """One more group."""
    value = response.find(f".//{SAML}AttributeValue")
    value.addnext(deepcopy(value))


def changed_condition(response: Node) -> None:
    """A longer life."""
    response.find(f".//{SAML}Conditions").set("NotOnOrAfter", "2099-01-01T00:00:00Z")


def test_the_genuine_response(case: Case) -> None:
    """It is accepted, also after it was taken apart and put together."""
    for response in (case.response, case.tree()):
        found = case.outcome(response)
        assert isinstance(found, External)
        assert (found.subject, found.groups) == ("alice", ("admins", "dba"))


@pytest.mark.parametrize(
    "attack",
    [
        xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8, same_id, in_status, in_attribute, foreign_name,
        moved_signature, without_inner, without_outer, without_both, twice_signed, whole_document, xpointer, elsewhere,
        two_references, xslt, another_canonical_form, hmac, encrypted, changed_name, changed_group, changed_condition,
    ],
)  # fmt: skip
def test_wrapping_and_tampering(case: Case, attack: Callable[[Node], None]) -> None:
    """Each is refused."""
    response = case.tree()
    attack(response)
    assert case.outcome(response) == "login.answer"


@pytest.mark.parametrize(
    "attack",
    [
        xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8, same_id, in_status, in_attribute, foreign_name,
        moved_signature, without_inner, without_outer, without_both, twice_signed, whole_document, xpointer, elsewhere,
        two_references, xslt, another_canonical_form, hmac, encrypted,
    ],
)  # fmt: skip
def test_the_shape_alone_tells(case: Case, attack: Callable[[Node], None]) -> None:
    """Before any signature is looked at: whoever verifies it afterwards has no choice left."""
    response = case.tree()
    assert demand_shape(plain_xml(etree.tostring(response))).tag == SAML + "Assertion"
    attack(response)
    with pytest.raises(AgentError):
        demand_shape(plain_xml(etree.tostring(response)))


@pytest.mark.parametrize("part", ["outer", "inner"])
def test_wrapping_around_one_signature(case: Case, part: str) -> None:
    """Also when the attacker takes the other signature away, as if the provider signed only one."""
    for attack in (xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8, same_id):
        response = case.tree()
        attack(response)
        for signature in list(response.iter(DS + "Signature")):
            parent = signature.getparent()
            if (parent.tag == SAML + "Assertion") == (part == "outer"):
                parent.remove(signature)
        assert case.outcome(response) == "login.answer"


NAME = b"<saml:NameID"


@pytest.mark.parametrize(
    "inserted",
    [b"<!-- -->", b"<!---->", b"<?php evil ?>", b"<![CDATA[]]>", b"<![CDATA[x]]>", b"<!-- a --><!-- b -->"],
)
def test_texts_are_not_cut(case: Case, inserted: bytes) -> None:
    """What a signature does not cover, such as a comment in a name, is in no response."""
    changed = re.sub(rb"(<saml:NameID[^>]*>al)(ice)", rb"\1" + inserted + rb"\2", case.response)
    assert changed != case.response
    assert case.outcome(changed) == "login.answer"


@pytest.mark.parametrize("where", ["before", "after"])
def test_comments_anywhere(case: Case, where: str) -> None:
    """Neither before nor after the root."""
    assert (
        case.outcome(b"<!-- x -->" + case.response if where == "before" else case.response + b"<!-- x -->")
        == "login.answer"
    )


LAUGHS = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))


@pytest.mark.parametrize(
    "doctype",
    [
        b"<!DOCTYPE r>",
        b'<!DOCTYPE r [<!ENTITY a0 "lol">' + LAUGHS + b"]>",
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>',
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">',
        b"<!DOCTYPE r [<!ATTLIST r ID ID #IMPLIED>]>",
    ],
)
def test_document_types(case: Case, doctype: bytes) -> None:
    """Entities, external or many, are refused before anything is parsed."""
    body = case.response.partition(b"?>")[2] if case.response.startswith(b"<?xml") else case.response
    assert case.outcome(b'<?xml version="1.0"?>' + doctype + body) == "login.answer"
    with pytest.raises(AgentError):
        plain_xml(doctype + b"<r>&x;</r>")


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: ('<?xml version="1.0" encoding="utf-16"?>' + text).encode("utf-16"),
        lambda text: ('<?xml version="1.0" encoding="utf-7"?>' + text.replace("<", "+ADw-")).encode(),
        lambda text: ('<?xml version="1.0" encoding="iso-8859-1"?>' + text).encode(),
        lambda text: ('<?xml version="1.1"?>' + text).encode(),
        lambda text: b"\xef\xbb\xbf" + b"\xff" + text.encode(),
        lambda text: text.encode() + b"\0",
        lambda text: text.encode() + text.encode(),
        lambda text: b"",
        lambda text: b"alice",
    ],
)
def test_encodings(case: Case, encode: Callable[[str], bytes]) -> None:
    """UTF-8 and one root, so that what is looked for is found."""
    assert case.outcome(encode(etree.tostring(case.tree(), encoding="unicode"))) == "login.answer"


def test_the_usual_declarations() -> None:
    """As providers write them."""
    for line in (b'<?xml version="1.0"?>', b"<?xml version='1.0' encoding='utf-8' standalone='no'?>\n", b"", b"\n"):
        assert plain_xml(line + b"<r/>").tag == "r"


@pytest.mark.parametrize(
    "data",
    [
        b"<a>" * 5000 + b"</a>" * 5000,
        b"<a>" + b"<b/>" * (ELEMENTS + 1) + b"</a>",
        b"<a>" + b"x" * SIZE + b"</a>",
        b"<a " + b" ".join(b'a%d="1"' % n for n in range(10)) + b' a1="2"/>',
    ],
)
def test_documents_have_limits(data: bytes) -> None:
    """Depth, number, size; and what is not well-formed."""
    with pytest.raises(AgentError):
        plain_xml(data)


@pytest.mark.parametrize("text", ["", "%%%", "PHI+", "a" * 1_000_000, "ä"])
def test_no_base64(case: Case, text: str) -> None:
    """It is refused before it is XML."""
    settings = Saml("corp", Joining(False, {}, "groups", "email", ""), case.idp.metadata, "", "")
    provider = SamlProvider("corp", settings, BACK, US, SystemClock())
    with pytest.raises(AgentError) as caught:
        asyncio.run(provider.finish(case.flow, {"RelayState": case.flow.state, "SAMLResponse": text}))
    assert caught.value.code == "login.answer"


def resigned(case: Case, change: Callable[[Node], Any]) -> Node:
    """The response with a change, signed anew with the provider's own key."""
    response = case.tree()
    assertion, inner, outer = parts(response)
    assertion.remove(inner)
    response.remove(outer)
    change(response)
    key = xmlsec.Key.from_memory(case.idp.key, xmlsec.KeyFormat.PEM)
    for element in [*response.findall(SAML + "Assertion"), response]:
        signature = xmlsec.template.create(element, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256)
        issuer = element.find(SAML + "Issuer")
        issuer.addnext(signature) if issuer is not None else element.insert(0, signature)
        reference = xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri="#" + element.get("ID"))
        xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
        xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        xmlsec.tree.add_ids(response, ["ID"])
        context = xmlsec.SignatureContext()
        context.key = key
        context.sign(signature)
    return etree.fromstring(etree.tostring(response))


def setting(path: str, name: str, value: str | None) -> Callable[[Node], None]:
    """A change of one attribute."""

    def change(response: Node) -> None:
        element = response if path == "." else response.find(path)
        assert element is not None
        if value is None:
            del element.attrib[name]
        else:
            element.set(name, value)

    return change


def writing(path: str, text: str) -> Callable[[Node], None]:
    """A change of one text."""

    def change(response: Node) -> None:
        element = response.find(path)
        assert element is not None
        element.text = text

    return change


def removing(path: str) -> Callable[[Node], None]:
    """One element less."""

    def change(response: Node) -> None:
        element = response.find(path)
        assert element is not None
        element.getparent().remove(element)

    return change


def again(path: str) -> Callable[[Node], None]:
    """One element twice."""

    def change(response: Node) -> None:
        element = response.find(path)
        assert element is not None
        element.addnext(deepcopy(element))

    return change


CONFIRMED = f".//{SAML}SubjectConfirmationData"
CONDITIONS, STATEMENT, SUBJECT = f".//{SAML}Conditions", f".//{SAML}AuthnStatement", f".//{SAML}NameID"
AUDIENCE = f".//{SAML}Audience"
STATUS = f"{SAMLP}Status/{SAMLP}StatusCode"


def test_a_response_signed_anew(case: Case) -> None:
    """By the same key, it is accepted: the next test's refusals are for what was changed."""
    assert isinstance(case.outcome(resigned(case, lambda response: None)), External)


@pytest.mark.parametrize(
    "change",
    [
        setting(".", "Destination", "http://127.0.0.1:7443/login/other/acs"),
        setting(".", "Destination", BACK + "/x"),
        setting(".", "Destination", None),
        setting(".", "InResponseTo", "_other"),
        setting(".", "InResponseTo", None),
        setting(".", "Version", "1.1"),
        setting(CONFIRMED, "Recipient", BACK + "/x"),
        setting(CONFIRMED, "Recipient", None),
        setting(CONFIRMED, "InResponseTo", "_other"),
        setting(CONFIRMED, "InResponseTo", None),
        setting(CONFIRMED, "NotOnOrAfter", "2020-01-01T00:00:00Z"),
        setting(CONFIRMED, "NotOnOrAfter", None),
        setting(CONFIRMED, "NotOnOrAfter", "2026-01-01"),
        setting(CONDITIONS, "NotOnOrAfter", "2020-01-01T00:00:00Z"),
        setting(CONDITIONS, "NotOnOrAfter", None),
        setting(CONDITIONS, "NotBefore", "2099-01-01T00:00:00Z"),
        setting(STATEMENT, "AuthnInstant", "2099-01-01T00:00:00Z"),
        setting(STATEMENT, "SessionNotOnOrAfter", "2020-01-01T00:00:00Z"),
        setting(SUBJECT, "Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"),
        setting(SUBJECT, "Format", None),
        setting(SUBJECT, "NameQualifier", "https://other-idp.example"),
        setting(SUBJECT, "SPNameQualifier", "https://other-gateway.example"),
        setting(f".//{SAML}SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"),
        setting(STATUS, "Value", "urn:oasis:names:tc:SAML:2.0:status:Responder"),
        writing(AUDIENCE, "https://other-gateway.example"),
        writing(AUDIENCE, US + "x"),
        writing(f"{SAML}Issuer", "https://other-idp.example"),
        writing(f"{SAML}Assertion/{SAML}Issuer", "https://other-idp.example"),
        writing(SUBJECT, ""),
        writing(SUBJECT, "\u202eecila"),
        removing(f".//{SAML}AudienceRestriction"),
        removing(CONDITIONS),
        removing(STATEMENT),
        removing(f".//{SAML}SubjectConfirmation"),
        removing(f".//{SAML}Subject"),
        removing(f"{SAML}Issuer"),
        again(AUDIENCE),
        again(f".//{SAML}AudienceRestriction"),
        again(f".//{SAML}SubjectConfirmation"),
        again(STATEMENT),
    ],
)  # fmt: skip
def test_what_a_genuine_response_must_say(case: Case, change: Callable[[Node], None]) -> None:
    """Signed by the provider itself, and still not for us, here, now."""
    assert case.outcome(resigned(case, change)) == "login.answer"


def test_an_assertion_for_ever(case: Case) -> None:
    """One that would have to be remembered for years is refused."""

    def change(response: Node) -> None:
        for path in (CONFIRMED, CONDITIONS):
            setting(path, "NotOnOrAfter", "2099-01-01T00:00:00Z")(response)

    assert case.outcome(resigned(case, change)) == "login.answer"
