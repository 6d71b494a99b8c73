"""POST /api/v1/oauth/token: token exchange (RFC 8693), and what clients read about it (RFC 8414, RFC 7517).

The tokens themselves are the credentials: there is no client to authenticate. Parameters come as a form, each at most
once; errors are those of RFC 6749 section 5.2 and RFC 8693 section 2.2.2, with Tidegate's own ``code`` and ``hint``
beside. A resource that does not exist and one that policy does not give are told in the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response

from tidegate.enforcement.access import Minted
from tidegate.errors import AgentError, LogFailure, Refused, ResourceError, TidegateError

from .services import Services, source
from .shapes import Exchanged

router = APIRouter(tags=["oauth"])
public = APIRouter(tags=["oauth"])
"""What stands outside the API's own prefix."""

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPE = "urn:ietf:params:oauth:token-type:"
ACCESS, JWT, ID = f"{_TYPE}access_token", f"{_TYPE}jwt", f"{_TYPE}id_token"
CERTIFICATE = "urn:tidegate:params:oauth:token-type:certificate"
"""Token types (RFC 8693 section 3), and ours for a client certificate in place of a token."""

FIELDS = (
    "grant_type",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "audience",
    "resource",
    "scope",
    "reason",
    "public_key",
)
_SIZES = {"reason": 2000, "public_key": 4096, "audience": 128, "resource": 128}
_FORM = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "properties": {name: {"type": "string"} for name in FIELDS}}
        }
    },
}
_NO_TARGET = ("resource.unknown", "policy.refused")


class Unfit(Exception):
    """A request that is wrong by itself: ``error`` as in RFC 6749 section 5.2, and what to say."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


@router.post("/oauth/token", openapi_extra={"requestBody": _FORM}, responses={200: {"model": Exchanged}})
async def exchange(at: Services, request: Request) -> Response:
    """Exchange tokens for one of a resource. Needs no login: the tokens are the proof."""
    peer = source(request)
    try:
        asked = _asked(request.headers.get("content-type", ""), await request.body())
        minted = await at.exchange.exchange(
            asked["subject_token"],
            asked.get("actor_token", ""),
            asked["resource"],
            reason=asked.get("reason", ""),
            key=asked.get("public_key", ""),
            peer=peer,
        )
    except Unfit as unfit:
        return _no(400, unfit.error, str(unfit))
    except (AgentError, Refused) as error:
        if isinstance(error, AgentError) and error.code != "exchange.slowed":
            await at.credentials.throttle.rebuke(peer)
        return _no(_status(error), _kind(error), _description(error), code=error.code, hint=_hint(error))
    except (ResourceError, LogFailure) as error:
        return _no(503, "temporarily_unavailable", error.message, code=error.code, hint=error.hint)
    return _given(minted, at.clock.now() // 1_000_000)


@public.get("/.well-known/oauth-authorization-server")
async def metadata(at: Services, request: Request) -> dict[str, Any]:
    """What a client must know (RFC 8414)."""
    base = at.settings.web.url.rstrip("/") if at.settings.web else str(request.base_url).rstrip("/")
    return {
        "issuer": base,
        "token_endpoint": f"{base}/api/v1/oauth/token",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "grant_types_supported": [GRANT],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
    }


@public.get("/.well-known/jwks.json")
async def keys(at: Services) -> dict[str, Any]:
    """The keys by which tokens of this gateway can be checked."""
    return at.issuer.keys


def _asked(kind: str, body: bytes) -> dict[str, str]:
    """The parameters, with the resource's name as ``resource``. Raises Unfit."""
    if kind.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Unfit("invalid_request", "The parameters must come as application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=32)
    except ValueError:
        raise Unfit("invalid_request", "The body is not a form.") from None
    asked = {name: value for name, value in pairs if value}
    if len({name for name, _ in pairs}) < len(pairs):
        raise Unfit("invalid_request", "A parameter is there twice.")
    if asked.get("grant_type") != GRANT:
        raise Unfit("unsupported_grant_type" if "grant_type" in asked else "invalid_request", f"grant_type is {GRANT}.")
    if not set(asked) <= {*FIELDS} or any(len(asked.get(name, "")) > size for name, size in _SIZES.items()):
        raise Unfit("invalid_request", f"Parameters are {', '.join(FIELDS)}, of bearable length.")
    if "scope" in asked:
        raise Unfit("invalid_scope", "There are no scopes: policy says what a token may do.")
    _check_types(asked)
    names = {asked[name].removeprefix("resource:") for name in ("audience", "resource") if name in asked}
    if len(names) != 1:
        raise Unfit("invalid_target", "Name one resource, as audience or resource.")
    return {**asked, "resource": names.pop()}


def _check_types(asked: Mapping[str, str]) -> None:
    if "subject_token" not in asked or asked.get("subject_token_type") not in (ACCESS, JWT, ID):
        raise Unfit("invalid_request", "subject_token and its type are needed: access_token, jwt or id_token.")
    if ("actor_token" in asked) != (asked.get("actor_token_type") in (ACCESS, JWT)):
        raise Unfit("invalid_request", "actor_token and actor_token_type belong together: access_token or jwt.")
    wanted = asked.get("requested_token_type", CERTIFICATE if "public_key" in asked else ACCESS)
    if wanted not in (ACCESS, JWT, CERTIFICATE) or (wanted == CERTIFICATE) != ("public_key" in asked):
        raise Unfit(
            "invalid_request", "requested_token_type is access_token or jwt; public_key asks for a certificate."
        )


def _status(error: TidegateError) -> int:
    return 429 if error.code == "exchange.slowed" else 400


def _kind(error: TidegateError) -> str:
    if error.code in _NO_TARGET:
        return "invalid_target"
    return "access_denied" if isinstance(error, Refused) else "invalid_request"


def _description(error: TidegateError) -> str:
    return "There is no such resource for this chain." if error.code in _NO_TARGET else error.message


def _hint(error: TidegateError) -> str:
    return "Ask for access: tidegate request new RESOURCE." if error.code in _NO_TARGET else error.hint


def _no(status: int, error: str, description: str, *, code: str = "", hint: str = "") -> Response:
    body = {"error": error, "error_description": description, "code": code, "hint": hint}
    return _answer(status, {name: value for name, value in body.items() if value})


def _given(minted: Minted, now: int) -> Response:
    given = Exchanged(
        access_token=minted.certificate or minted.token,
        issued_token_type=CERTIFICATE if minted.certificate else ACCESS,
        token_type="N_A" if minted.certificate else "Bearer",
        expires_in=minted.claims.expires - now,
    )
    return _answer(200, given.model_dump())


def _answer(status: int, body: Mapping[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return Response(orjson.dumps(body), status, headers, "application/json")
