"""SAML responses, looked at before anything in them is believed: plain XML of one shape only.

What attacks on XML signatures need is refused here: document types and entities, comments (which cut texts short),
processing instructions, CDATA, other encodings, an assertion in any place but its own, a second one, a signature in a
third place, a reference to anything but the element that the signature is in, an ID that is there twice, transforms and
algorithms beyond the few that are needed. What is read afterwards is read from exactly the elements that are signed.

Sources: SAML Core 2.0 section 5.4; Somorovsky and others, On Breaking SAML, 2012.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from .providers import unusable

SIZE = 128 * 1024
"""Most bytes of a response."""

ELEMENTS = 5000
"""Most elements in it."""

SAML, SAMLP = "{urn:oasis:names:tc:SAML:2.0:assertion}", "{urn:oasis:names:tc:SAML:2.0:protocol}"
DS, MD = "{http://www.w3.org/2000/09/xmldsig#}", "{urn:oasis:names:tc:SAML:2.0:metadata}"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

_DECLARATION = re.compile(
    r"""\s*<\?xml\s+version=["']1\.0["'](?:\s+encoding=["'][Uu][Tt][Ff]-8["'])?(?:\s+standalone=["'](?:yes|no)["'])?\s*\?>"""
)
_MORE, _ENC = "http://www.w3.org/2001/04/xmldsig-more#", "http://www.w3.org/2001/04/xmlenc#"
_CANONICAL = "http://www.w3.org/2001/10/xml-exc-c14n#"
_SIGNATURES = frozenset(f"{_MORE}{kind}-sha{bits}" for kind in ("rsa", "ecdsa") for bits in (256, 384, 512))
_DIGESTS = frozenset({f"{_ENC}sha256", f"{_MORE}sha384", f"{_ENC}sha512"})
_TRANSFORMS = ["http://www.w3.org/2000/09/xmldsig#enveloped-signature", _CANONICAL]
_IDS = ("ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id")


@dataclass(frozen=True, slots=True)
class Said:
    """What a response says, in its one assertion; times in Unix seconds.

    ``attributes`` are the texts by attribute name; ``qualifiers`` are whose name and whose client the NameID is for.
    """

    issuers: tuple[str, str]
    destination: str
    in_response_to: tuple[str, str]
    recipient: str
    audiences: Sequence[str]
    id: str
    name_id: str
    name_format: str
    qualifiers: tuple[str, str]
    attributes: Mapping[str, Sequence[str]]
    authenticated: int
    begins: int
    ends: int


def plain_xml(data: bytes) -> etree._Element:
    """The root of a document that has elements, attributes and texts and nothing else. Raises AgentError."""
    try:
        text = data.decode() if len(data) <= SIZE else ""
        declared = _DECLARATION.match(text)
        text = text[declared.end() :] if declared else text
        # In well-formed XML these two begin what is refused, and nothing else.
        if not text or "<!" in text or "<?" in text:
            raise unusable("it is not plain XML")
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
        root = etree.fromstring(text.strip().encode(), parser)
    except (UnicodeDecodeError, etree.XMLSyntaxError, ValueError):
        raise unusable("it is not plain XML") from None
    if sum(1 for _ in root.iter()) > ELEMENTS:
        raise unusable("it is too large")
    return root


def decoded(text: str) -> bytes:
    """The document in a form's field (SAML Bindings 2.0 section 3.5.4). Raises AgentError."""
    try:
        return base64.b64decode("".join(text[: SIZE * 2].split()), validate=True)
    except (binascii.Error, ValueError):
        raise unusable("it is not base64") from None


def demand_shape(response: etree._Element) -> etree._Element:
    """The assertion of a response whose shape leaves no doubt about what is signed. Raises AgentError."""
    if response.tag != SAMLP + "Response":
        raise unusable("it is no response")
    status = response.findall(f"{SAMLP}Status/{SAMLP}StatusCode")
    if [code.get("Value") for code in status] != [SUCCESS]:
        raise unusable("the provider did not say that you are logged in")
    assertions = [element for element in response.iter() if _local(element) in ("Assertion", "EncryptedAssertion")]
    if len(assertions) != 1 or assertions[0].tag != SAML + "Assertion" or assertions[0].getparent() is not response:
        raise unusable("it must have exactly one assertion, not encrypted")
    assertion = assertions[0]
    signatures = [element for element in response.iter() if _local(element) == "Signature"]
    if [signature.getparent() for signature in signatures] != [response, assertion]:
        raise unusable("response and assertion must both be signed, and nothing else")
    names = [element.get(name) for element in response.iter() for name in _IDS if element.get(name) is not None]
    if len(names) != len(set(names)):
        raise unusable("an ID is there twice")
    for signature in signatures:
        _demand_signature(signature)
    return assertion


def _demand_signature(signature: etree._Element) -> None:
    """One reference, to the element that the signature is in; transforms and algorithms that are needed."""
    parent, references = signature.getparent(), list(signature.iter(DS + "Reference"))
    methods = {kind: _algorithms(signature, kind) for kind in ("SignatureMethod", "DigestMethod", "Transform")}
    canonical = _algorithms(signature, "CanonicalizationMethod")
    id = None if parent is None else parent.get("ID")
    if len(references) != 1 or not id or references[0].get("URI") != f"#{id}" or signature.tag != DS + "Signature":
        raise unusable("a signature is not over the element that it is in")
    if signature.find(f"{DS}SignedInfo/{DS}Reference") is not references[0] or list(signature.iter(DS + "Object")):
        raise unusable("a signature has a form that is not used")
    known = len(methods["SignatureMethod"]) == len(methods["DigestMethod"]) == 1
    known = known and methods["SignatureMethod"][0] in _SIGNATURES and methods["DigestMethod"][0] in _DIGESTS
    if not known or methods["Transform"] != _TRANSFORMS or canonical != [_CANONICAL]:
        raise unusable("a signature uses an algorithm that is not accepted: RSA or ECDSA with SHA-256 and more are")


def _algorithms(signature: etree._Element, kind: str) -> list[str]:
    return [str(element.get("Algorithm")) for element in signature.iter(DS + kind)]


def said(response: etree._Element, assertion: etree._Element) -> Said:
    """What a response of the right shape says. Raises AgentError when a part is missing or there twice."""
    subject, conditions = _only(assertion, "Subject"), _only(assertion, "Conditions")
    confirmation = _only(subject, "SubjectConfirmation")
    bearer, name = _only(confirmation, "SubjectConfirmationData"), _only(subject, "NameID")
    if confirmation.get("Method") != BEARER:
        raise unusable("it is not for who brings it")
    statement = _only(assertion, "AuthnStatement")
    audiences = [_text(each) for each in _only(conditions, "AudienceRestriction").findall(SAML + "Audience")]
    ends = [moment(element, "NotOnOrAfter") for element in (bearer, conditions)]
    if statement.get("SessionNotOnOrAfter") is not None:
        ends.append(moment(statement, "SessionNotOnOrAfter"))
    return Said(
        issuers=(_text(_only(response, "Issuer")), _text(_only(assertion, "Issuer"))),
        destination=response.get("Destination", ""),
        in_response_to=(response.get("InResponseTo", ""), bearer.get("InResponseTo", "")),
        recipient=bearer.get("Recipient", ""),
        audiences=audiences,
        id=assertion.get("ID", ""),
        name_id=_text(name),
        name_format=name.get("Format", ""),
        qualifiers=(name.get("NameQualifier", ""), name.get("SPNameQualifier", "")),
        attributes=_attributes(assertion),
        authenticated=moment(statement, "AuthnInstant"),
        begins=moment(conditions, "NotBefore") if conditions.get("NotBefore") else moment(assertion, "IssueInstant"),
        ends=min(ends),
    )


def moment(element: etree._Element, name: str) -> int:
    """The time in an attribute, in Unix seconds (SAML Core 2.0 section 1.3.3: UTC). Raises AgentError."""
    try:
        found = datetime.fromisoformat(element.get(name, ""))
        if found.tzinfo is None:
            raise ValueError("no time zone")
        return int(found.astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        raise unusable("a time in it is missing or cannot be read") from None


def _attributes(assertion: etree._Element) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for attribute in assertion.iterfind(f"{SAML}AttributeStatement/{SAML}Attribute"):
        values = [_text(value) for value in attribute.findall(SAML + "AttributeValue") if len(value) == 0]
        found.setdefault(attribute.get("Name", ""), []).extend(values)
    return found


def _only(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(SAML + name)
    if len(found) != 1:
        raise unusable(f"it must have exactly one {name}")
    return found[0]


def _text(element: etree._Element) -> str:
    if len(element):
        raise unusable("a text in it is not only text")
    return (element.text or "").strip()


def _local(element: etree._Element) -> str:
    return str(etree.QName(element).localname)
