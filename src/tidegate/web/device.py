"""/api/v1/login/device: a terminal logs in through a browser (RFC 8628).

Field names and errors are those of the RFC; the body is JSON as everywhere in this API. A login that is taken is a
login like any other, with ``device`` as how it was proven: the browser that confirmed it had proven more. It ends no
later than that browser's, and is not given any more once that one was ended.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tidegate.enforcement.access import BROWSER, LOGIN_TTL, Minted
from tidegate.errors import AgentError
from tidegate.identity.devices import LIFE, Devices

from .problem import problem
from .services import Services, source
from .shapes import DeviceCode, DeviceLogin, Login

router = APIRouter(prefix="/login/device", tags=["identities"])

ERRORS = {
    "login.pending": "authorization_pending",
    "login.slow_down": "slow_down",
    "login.expired": "expired_token",
    "login.denied": "access_denied",
}
"""This gateway's codes -> those of RFC 8628 section 3.5."""


def devices(request: Request) -> Devices:
    """The terminals that wait."""
    found = request.app.state.devices
    assert isinstance(found, Devices)
    return found


@router.post("", status_code=201)
async def begin(at: Services, request: Request) -> DeviceCode:
    """Begin a login: a code to poll with, and a short one for the person to confirm in the browser. Needs no login."""
    agent = request.headers.get("user-agent", "")
    code, device = devices(request).begin(agent, source(request))
    page = f"{at.settings.public}/device"
    return DeviceCode(
        device_code=code,
        user_code=device.user_code,
        verification_uri=page,
        verification_uri_complete=f"{page}?code={device.user_code}",
        expires_in=LIFE,
        interval=device.interval,
    )


@router.post("/token", status_code=201, response_model=Login)
async def token(at: Services, request: Request, body: DeviceLogin) -> Login | Response:
    """Take the login once it is confirmed; until then, and if never, 400 with `error` of RFC 8628. Needs no login."""
    try:
        device = devices(request).take(body.device_code.get_secret_value())
    except AgentError as error:
        return problem(400, error.code, error.message, hint=error.hint, error=ERRORS[error.code])
    peer = source(request)
    confirmed = await at.access.authenticate(device.login, peer, BROWSER)
    ttl = min(LOGIN_TTL, confirmed.claims.expires - at.clock.now() // 1_000_000)
    return _login(await at.access.login(confirmed.identity, method="device", ttl=max(ttl, 1), peer=peer))


def _login(minted: Minted) -> Login:
    person = minted.identity.person
    return Login(token=minted.token, name=person.name, subject=person.subject, expires=minted.claims.expires)
