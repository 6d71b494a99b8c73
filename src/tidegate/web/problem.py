"""Errors of the API as problem details (RFC 9457): what happened, what to do, and a stable code.

The API boundary is one of the three places where errors are caught. What is not in the error tree is a fault of the
gateway: its text is logged for operators and never sent.
"""

from __future__ import annotations

from http import HTTPStatus

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tidegate.errors import AgentError, LogFailure, Refused, ResourceError, TidegateError

MEDIA_TYPE = "application/problem+json"
_UNAUTHENTICATED = ("token.", "auth.", "identity.", "code.")
_logger = structlog.get_logger()


def problem(status: int, code: str, detail: str, *, hint: str = "", rule: str = "") -> Response:
    """A problem details response; empty members are left out."""
    body: dict[str, str | int] = {"title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    body |= {name: value for name, value in (("hint", hint), ("rule", rule)) if value}
    headers = {"WWW-Authenticate": 'Bearer realm="tidegate"'} if status == HTTPStatus.UNAUTHORIZED else None
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def status_of(error: TidegateError) -> int:
    """The HTTP status for an error of the tree: by whose fault it is, then by its code."""
    if isinstance(error, AgentError | Refused) and error.code.endswith(".unknown"):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, Refused):
        return HTTPStatus.CONFLICT if error.code.endswith((".decided", ".taken")) else HTTPStatus.FORBIDDEN
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
    return problem(status_of(error), error.code, error.message, hint=error.hint, rule=rule)


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
