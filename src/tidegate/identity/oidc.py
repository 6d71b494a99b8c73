"""Logging in at an OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9700).

The code is redeemed from here, with the client's secret and the verifier that never left; the ID token is believed if
its signature, issuer, audience, times, nonce, ``azp`` and ``at_hash`` hold. A fresh login is one whose ``auth_time`` is
not before we asked. While a login lives, its refresh token is kept, sealed and in memory only, to ask now and then
whether the provider still knows the person.

Invariants: nothing of an answer is believed before its state fits; an answer of another issuer is refused (RFC 9207);
codes, tokens and secrets are in no error and no address.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, urlencode

from tidegate.clock import Clock
from tidegate.errors import TidegateError
from tidegate.model.identity import External
from tidegate.settings_login import Oidc

from .backchannel import Logouts
from .claims import external
from .discovery import Discovery
from .fetch import Answer, Fetch
from .jws import object_of, read
from .keysets import LEEWAY, KeySet, number
from .providers import Begun, Flow, denied, random, stale, unusable
from .refresh import Refreshes, Sealer

_CODE = 4096
_HASHES = {"ES384": hashlib.sha384, "EdDSA": hashlib.sha512, "Ed25519": hashlib.sha512}
_PARALLEL = 8


class OidcProvider:
    """One provider. ``secret`` gives the client's secret when it is needed, or an empty text for a public client.

    ``seal`` keeps refresh tokens, ``life`` is how many seconds a login lives.
    """

    kind = "oidc"

    def __init__(
        self, name: str, settings: Oidc, secret: Callable[[], Awaitable[str]], clock: Clock, seal: Sealer, life: int
    ) -> None:
        self.name = name
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._fetch = Fetch(settings.ca)
        self._keys = KeySet(self._key_set, clock)
        self._discovery = Discovery(self._fetch, settings.issuer, clock)
        self._refreshes = Refreshes(seal, clock, life)
        self._logouts = Logouts(self._keys, settings.issuer, settings.client_id, clock)

    async def begin(self, callback: str, *, fresh: bool = False) -> Begun:
        """As ``Provider.begin``."""
        address = await self._discovery.address("authorization_endpoint")
        verifier, nonce = random(), random()
        flow = Flow(self.name, callback, random(), fresh, self._now(), {"verifier": verifier, "nonce": nonce})
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": callback,
            "scope": " ".join(self._settings.scopes),
            "state": flow.state,
            "nonce": nonce,
            "code_challenge": _left(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        asked |= {"prompt": "login", "max_age": "0"} if fresh else {}
        return Begun(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", flow)

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> External:
        """As ``Provider.finish``."""
        flow.demand(self.name, answer.get("state", ""), self._now())
        document = await self._discovery.document()
        promised = document.get("authorization_response_iss_parameter_supported") is True
        if (promised or "iss" in answer) and answer.get("iss") != self._settings.issuer:
            raise unusable("it is another issuer's")
        if "error" in answer:
            raise denied()
        code = answer.get("code", "")
        if not 0 < len(code) <= _CODE or "id_token" in answer or "access_token" in answer:
            raise unusable("it has no code, or more than a code")
        tokens = await self._redeemed(code, flow)
        claims = await self._identity(tokens, flow)
        who = await self._external(claims, tokens, flow)
        self._refreshes.keep(who.subject, tokens.get("refresh_token"))
        self._logouts.know(claims.get("sid"), who.subject)
        return who

    async def logout(self, token: str) -> str:
        """The subject that a logout token ends; it is used up. Raises AgentError ``token.*``, ResourceError."""
        subject = await self._logouts.subject(token)
        self._refreshes.forget(subject)
        return subject

    async def gone(self) -> Sequence[str]:
        """As ``Provider.gone``: whose refresh token the provider does not honour any more."""
        places = asyncio.Semaphore(_PARALLEL)

        async def asked(subject: str) -> bool:
            async with places:
                return await self._refused(subject)

        subjects = self._refreshes.subjects()
        found = await asyncio.gather(*(asked(subject) for subject in subjects))
        return [subject for subject, refused in zip(subjects, found, strict=True) if refused]

    async def _redeemed(self, code: str, flow: Flow) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.callback,
            "code_verifier": flow.secrets["verifier"],
        }
        tokens = _object(answer := await self._token(form))
        if answer.status != 200:
            raise unusable("the provider did not accept its own code")
        if str(tokens.get("token_type")).lower() != "bearer" or not isinstance(tokens.get("id_token"), str):
            raise unusable("it has no ID token")
        return tokens

    async def _identity(self, tokens: Mapping[str, Any], flow: Flow) -> Mapping[str, Any]:
        """The claims of the ID token, if it is for this very flow (OpenID Connect Core 1.0 section 3.1.3.7)."""
        client, token = self._settings.client_id, tokens["id_token"]
        claims = await self._keys.verify(token, issuer=self._settings.issuer, audience=client)
        nonce, party = claims.get("nonce"), claims.get("azp", client)
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), flow.secrets["nonce"].encode()):
            raise unusable("its ID token is not for this login")
        if party != client:
            raise unusable("its ID token is for another client")
        if "at_hash" in claims and not _matches(claims["at_hash"], tokens.get("access_token"), read(token).algorithm):
            raise unusable("its tokens do not belong together")
        return claims

    async def _external(self, claims: Mapping[str, Any], tokens: Mapping[str, Any], flow: Flow) -> External:
        issued = number(claims.get("iat"))
        if flow.fresh and ("auth_time" not in claims or number(claims["auth_time"]) < flow.began - LEEWAY):
            raise stale()
        more, joining = await self._userinfo(claims, tokens), self._settings.joining
        # Whether an address is verified is said beside it: an answer does not vouch for another one's address.
        source = claims if joining.email_claim in claims else more
        return external(
            self.name,
            f"oidc:{self.name}",
            claims.get("sub"),
            {**more, **claims},
            joining,
            verified=joining.email_claim == "email" and source.get("email_verified") is True,
            authenticated=int(number(claims.get("auth_time", issued))),
        )

    async def _userinfo(self, claims: Mapping[str, Any], tokens: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the userinfo endpoint adds, of the same subject (OpenID Connect Core 1.0 section 5.3.2)."""
        if not self._settings.userinfo:
            return {}
        access = tokens.get("access_token")
        if not isinstance(access, str) or not access.isascii() or not access.isprintable():
            raise unusable("it has no access token")
        address = await self._discovery.address("userinfo_endpoint")
        said = _object(Answer(200, await self._fetch.get(address, bearer=access)))
        if said.get("sub") != claims.get("sub"):
            raise unusable("its user information is somebody else's")
        return said

    async def _refused(self, subject: str) -> bool:
        """Whether the provider, asked anew, refuses somebody's refresh token; in doubt it does not."""
        token = self._refreshes.token(subject)
        if token is None:
            return False
        try:
            answer = await self._token({"grant_type": "refresh_token", "refresh_token": token})
            said = _object(answer)
        except TidegateError:
            return False
        if answer.status == 200:
            self._refreshes.keep(subject, said.get("refresh_token", token), renewed=True)
            return False
        if answer.status not in (400, 401) or said.get("error") != "invalid_grant":
            return False
        self._refreshes.forget(subject)
        return True

    async def _token(self, form: Mapping[str, str]) -> Answer:
        """Ask the token endpoint, as the client proves itself there (RFC 6749 section 2.3.1)."""
        document, address = await self._discovery.document(), await self._discovery.address("token_endpoint")
        client, secret = self._settings.client_id, await self._secret()
        if not secret:
            return await self._fetch.post(address, {**form, "client_id": client})
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods:
            return await self._fetch.post(address, {**form, "client_id": client, "client_secret": secret})
        pair = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
        return await self._fetch.post(address, form, authorization="Basic " + base64.b64encode(pair).decode())

    async def _key_set(self) -> bytes:
        return await self._fetch.get(await self._discovery.address("jwks_uri"))

    def _now(self) -> int:
        return self._clock.now() // 1_000_000


def _object(answer: Answer) -> Mapping[str, Any]:
    try:
        return object_of(answer.body)
    except (ValueError, RecursionError):
        raise unusable("the provider answered with something else than JSON") from None


def _matches(claimed: object, access: object, algorithm: str) -> bool:
    """Whether ``at_hash`` is the left half of the access token's hash (OpenID Connect Core 1.0 section 3.1.3.6)."""
    if not isinstance(claimed, str) or not isinstance(access, str):
        return False
    digest = _HASHES.get(algorithm, hashlib.sha256)(access.encode()).digest()
    return hmac.compare_digest(claimed.encode(), _left(digest[: len(digest) // 2]).encode())


def _left(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
