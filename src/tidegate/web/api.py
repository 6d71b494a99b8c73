"""The HTTP API under /api/v1, the only administrative channel of a running gateway; pages stand beside it.

It uses the same identities and policy as everything else. It runs in the gateway's own loop: what takes longer than a
millisecond (the store, reading the log, opening sealed parts) goes to a thread. There are no documentation pages, since
those load scripts of third parties; the OpenAPI document is at /api/v1/openapi.json.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI

from tidegate import __version__
from tidegate.identity.devices import Devices

from . import (
    approvals,
    audit,
    break_glass,
    browser,
    connect,
    credentials,
    device,
    federation,
    identities,
    impact,
    kill,
    notices,
    oauth,
    policy,
    problem,
    requests,
    secrets,
    sessions,
    slack,
    tokens,
)
from .guard import Guard
from .services import ApiServices, Services
from .shapes import Health

PREFIX = "/api/v1"
_LOOPBACK = frozenset({"127.0.0.1", "[::1]", "localhost"})
_PARTS = (
    identities,
    federation,
    device,
    tokens,
    connect,
    credentials,
    requests,
    approvals,
    break_glass,
    sessions,
    kill,
    oauth,
    audit,
    policy,
    secrets,
    impact,
    notices,
)
_health = APIRouter(tags=["health"])

__all__ = ["PREFIX", "ApiServices", "build", "describe"]


def build(services: ApiServices) -> FastAPI:
    """The API over a gateway's parts, and the pages beside it."""
    api = _bare()
    api.state.services = services
    api.state.devices = Devices(services.clock)
    api.include_router(federation.providers)
    api.include_router(slack.router)
    pages = browser.build(services, api.state.devices)
    api.state.site = pages.state.site
    api.mount("/", pages)
    api.add_middleware(Guard, hosts=_hosts(services))
    return api


def describe() -> dict[str, Any]:
    """The OpenAPI document; needs no gateway."""
    return _bare().openapi()


def _bare() -> FastAPI:
    api = FastAPI(
        title="Tidegate",
        version=__version__,
        summary="Identity-aware gateway between AI agents and the systems they use.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problem.install(api)
    for router in (_health, *(part.router for part in _PARTS)):
        api.include_router(router, prefix=PREFIX)
    api.include_router(oauth.public)
    return api


def _hosts(services: ApiServices) -> frozenset[str]:
    host, public = services.settings.api.host.lower(), services.settings.web
    names = {f"[{host}]" if ":" in host else host} | ({public.host} if public else set())
    return _LOOPBACK | names


@_health.get("/health")
async def health(at: Services) -> Health:
    """Whether the gateway can take effect. Needs no login and says nothing else."""
    if at.log.failed is not None:
        raise at.log.failed
    return Health(status="ok" if at.mandate.unlocked.is_set() else "locked")
