"""Logging in at a SAML 2.0 identity provider: a request by redirect, a signed response by POST (SAML Profiles 4.1).

A response passes three gates: its shape (``saml_document``), schema and signatures by the provider's keys
(python3-saml over xmlsec), and what it says: issuer, destination, recipient, audience, the request it answers, times,
and an ID that has not been used. Only then is anything in it believed, and only from the assertion that is signed.

Invariants: response and assertion are both signed; nothing is accepted that nobody asked for; each assertion once.
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

from lxml import etree
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from tidegate.clock import Clock
from tidegate.errors import AgentError
from tidegate.model.identity import External
from tidegate.settings_login import Saml

from .claims import external
from .providers import Begun, Flow, random, stale, unusable
from .saml_document import SAML, SAMLP, Said, decoded, demand_shape, plain_xml, said
from .saml_metadata import PERSISTENT, POST, Metadata, Peer, described

SKEW = 60
"""Seconds that the provider's clock may be off."""

PLACES = 10_000
"""Most used assertions that are remembered."""

LONGEST = 3600
"""Seconds that an assertion may be in force: it is remembered as long."""


class SamlProvider:
    """One provider; ``acs`` is the address that responses come to, ``entity_id`` what we call ourselves."""

    kind = "saml"

    def __init__(self, name: str, settings: Saml, acs: str, entity_id: str, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._acs = acs
        self._entity_id = entity_id
        self._clock = clock
        self._metadata = Metadata(settings.metadata)
        self._used: OrderedDict[str, int] = OrderedDict()
        # libxml2 and xmlsec are used by one thread at a time.
        self._turn = asyncio.Lock()

    @property
    def description(self) -> bytes:
        """Our metadata for this provider."""
        return described(self._entity_id, self._acs, persistent=not self._settings.subject_claim)

    async def begin(self, callback: str, *, fresh: bool = False) -> Begun:
        """As ``Provider.begin``."""
        peer = await asyncio.to_thread(self._metadata.peer)
        id, state = f"_{random()}", random()
        request = base64.b64encode(_deflated(self._request(peer, id, callback, fresh=fresh))).decode()
        query = urlencode({"SAMLRequest": request, "RelayState": state})
        flow = Flow(self.name, callback, state, fresh, self._now(), {"id": id})
        return Begun(f"{peer.address}{'&' if '?' in peer.address else '?'}{query}", flow)

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> External:
        """As ``Provider.finish``."""
        flow.demand(self.name, answer.get("RelayState", ""), self._now())
        async with self._turn:
            found, peer = await asyncio.to_thread(self._verified, flow, answer.get("SAMLResponse", ""))
        self._demand(found, peer, flow)
        who = self._external(found)
        if flow.fresh and found.authenticated < flow.began - SKEW:
            raise stale()
        self._use(found)
        return who

    async def gone(self) -> Sequence[str]:
        """As ``Provider.gone``: SAML has no way to ask."""
        return ()

    def _request(self, peer: Peer, id: str, callback: str, *, fresh: bool) -> bytes:
        about = {
            "ID": id,
            "Version": "2.0",
            "IssueInstant": datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Destination": peer.address,
            "AssertionConsumerServiceURL": callback,
            "ProtocolBinding": POST,
            **({"ForceAuthn": "true"} if fresh else {}),
        }
        root = etree.Element(f"{SAMLP}AuthnRequest", about, nsmap={"samlp": SAMLP[1:-1], "saml": SAML[1:-1]})
        etree.SubElement(root, f"{SAML}Issuer").text = self._entity_id
        if not self._settings.subject_claim:
            etree.SubElement(root, f"{SAMLP}NameIDPolicy", Format=PERSISTENT, AllowCreate="true")
        return bytes(etree.tostring(root))

    def _verified(self, flow: Flow, text: str) -> tuple[Said, Peer]:
        """What a response says whose shape, schema and signatures hold. Raises AgentError, ConfigError."""
        peer = self._metadata.peer()
        response = plain_xml(decoded(text))
        assertion = demand_shape(response)
        plain = base64.b64encode(etree.tostring(response)).decode()
        try:
            genuine = OneLogin_Saml2_Response(self._toolkit(peer), plain).is_valid(_received(flow), flow.secrets["id"])
        except Exception:
            # Whatever the toolkit stumbles over: a response that it cannot read is not believed.
            genuine = False
        if not genuine:
            raise unusable("its signature or its form does not hold")
        return said(response, assertion), peer

    def _toolkit(self, peer: Peer) -> OneLogin_Saml2_Settings:
        return OneLogin_Saml2_Settings(
            {
                "strict": True,
                "sp": {"entityId": self._entity_id, "assertionConsumerService": {"url": self._acs, "binding": POST}},
                "idp": {
                    "entityId": peer.entity_id,
                    "singleSignOnService": {"url": peer.address},
                    "x509certMulti": {"signing": list(peer.certificates)},
                },
                "security": {
                    "wantMessagesSigned": True,
                    "wantAssertionsSigned": True,
                    "wantAttributeStatement": False,
                    "requestedAuthnContext": False,
                    "rejectDeprecatedAlgorithm": True,
                    "allowSingleLabelDomains": True,
                },
            }
        )

    def _demand(self, found: Said, peer: Peer, flow: Flow) -> None:
        """Exactly what we asked for, of whom, for here, now. Raises AgentError."""
        now, id = self._now(), flow.secrets["id"]
        wrong = {
            "it is another provider's": found.issuers != (peer.entity_id, peer.entity_id),
            "it is for another address": not found.destination == found.recipient == flow.callback == self._acs,
            "it is for somebody else": found.audiences != [self._entity_id],
            "it answers no question of ours": found.in_response_to != (id, id),
            "it is not valid yet; compare the clocks": found.begins > now + SKEW or found.authenticated > now + SKEW,
            "it is too late; compare the clocks": found.ends <= now - SKEW,
            "it is valid for too long": found.ends > now + LONGEST + SKEW,
        }
        for why, holds in wrong.items():
            if holds:
                raise unusable(why)

    def _external(self, found: Said) -> External:
        claim, joining = self._settings.subject_claim, self._settings.joining
        attributes = found.attributes
        if not claim:
            ours, theirs = (found.issuers[0], ""), (self._entity_id, "")
            if found.name_format != PERSISTENT or found.qualifiers[0] not in ours or found.qualifiers[1] not in theirs:
                raise unusable("its NameID is not a persistent one for this gateway")
        named = attributes.get(claim, []) if claim else [found.name_id]
        subject = named[0] if len(named) == 1 else None
        proof = f"saml:{self.name}"
        return external(
            self.name, proof, subject, attributes, joining, verified=False, authenticated=found.authenticated
        )

    def _use(self, found: Said) -> None:
        now = self._now()
        for old in [id for id, ends in self._used.items() if ends + SKEW < now]:
            del self._used[old]
        if not found.id or found.id in self._used or len(self._used) >= PLACES:
            raise AgentError(
                "this answer was used already", hint="Begin again from the login page.", code="login.replayed"
            )
        self._used[found.id] = found.ends

    def _now(self) -> int:
        return self._clock.now() // 1_000_000


def _received(flow: Flow) -> Mapping[str, object]:
    """The request that brought a response, as the toolkit wants to see it."""
    parts = urlsplit(flow.callback)
    return {"https": "on" if parts.scheme == "https" else "off", "http_host": parts.netloc, "script_name": parts.path}


def _deflated(data: bytes) -> bytes:
    """DEFLATE without header (SAML Bindings 2.0 section 3.4.4.1)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()
