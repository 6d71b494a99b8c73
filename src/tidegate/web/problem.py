"""Errors of the API as problem details (RFC 9457): what happened, what to do, and a stable code.

The API boundary is one of the three places where errors are caught. What is not in the error tree is a fault of the
gateway: its text is logged for operators and never sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tidegate.errors import AgentError, LogFailure, Refused, ResourceError, TidegateError

MEDIA_TYPE = "application/problem+json"
_UNAUTHENTICATED = ("token.", "auth.", "identity.", "code.", "stepup.", "notice.signature")
_CHALLENGE = 'Bearer realm="tidegate"'
_logger = structlog.get_logger()


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str = "",
    rule: str = "",
    error: str = "",
    details: Mapping[str, object] | None = None,
) -> Response:
    """A problem details response; empty members are left out, ``details`` are members of their own (section 3.2).

    ``error`` is another standard's name for it.
    """
    body: dict[str, object] = {**(details or {}), "title": HTTPStatus(status).phrase, "status": status, "code": code}
    body |= {"detail": detail} | {
        name: value for name, value in (("hint", hint), ("rule", rule), ("error", error)) if value
    }
    return Response(orjson.dumps(body), status, _headers(status, code, body), MEDIA_TYPE)


def _headers(status: int, code: str, body: Mapping[str, object]) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        # RFC 9470: who calls is known, but must prove once more that they are there.
        more = ', error="insufficient_user_authentication"' if code.startswith("stepup.") else ""
        return {"WWW-Authenticate": _CHALLENGE + more}
    return {"Retry-After": str(body["retry_after"])} if "retry_after" in body else {}


def status_of(error: TidegateError) -> int:
    """The HTTP status for an error of the tree: by whose fault it is, then by its code."""
    if isinstance(error, AgentError | Refused) and error.code.endswith(".unknown"):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, Refused):
        return HTTPStatus.CONFLICT if error.code.endswith((".decided", ".taken")) else HTTPStatus.FORBIDDEN
    if isinstance(error, AgentError) and error.code.endswith((".slowed", ".busy")):
        return HTTPStatus.TOO_MANY_REQUESTS if error.code.endswith(".slowed") else HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, AgentError):
        return HTTPStatus.UNAUTHORIZED if error.code.startswith(_UNAUTHENTICATED) else HTTPStatus.BAD_REQUEST
    if isinstance(error, LogFailure):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.BAD_GATEWAY if isinstance(error, ResourceError) else HTTPStatus.INTERNAL_SERVER_ERROR


def install(api: FastAPI) -> None:
    """Answer every error of ``api`` with a problem."""
    api.add_exception_handler(TidegateError, _known)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _fault)


async def _known(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TidegateError)
    rule = error.rule if isinstance(error, Refused) else ""
    details = error.details if isinstance(error, AgentError) else {}
    return problem(status_of(error), error.code, error.message, hint=error.hint, rule=rule, details=details)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Only the place and the rule of each fault: the value itself may be a secret.
    faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return problem(400, "request.invalid", faults, hint="See /api/v1/openapi.json for what this endpoint takes.")


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, "request.unknown", f"{error.detail}.", hint="See /api/v1/openapi.json.")


async def _fault(request: Request, error: Exception) -> Response:
    _logger.error("api.fault", path=request.url.path, error=type(error).__name__)
    return problem(500, "gateway.fault", "The gateway failed to answer.", hint="Its operator finds more in its log.")
