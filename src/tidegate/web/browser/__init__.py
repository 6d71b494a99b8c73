"""The pages: logging in, confirming a terminal's login, proving that one is there, answering what waits."""

from __future__ import annotations

from fastapi import FastAPI

from tidegate.identity.devices import Devices
from tidegate.web.services import ApiServices

from . import approvals, device, login, me, prove, providers, site


def build(services: ApiServices, devices: Devices) -> FastAPI:
    """The application that serves every page."""
    return site.build(
        services, devices, (login.router, providers.router, device.router, prove.router, approvals.router, me.router)
    )
