"""The API as a whole."""

from __future__ import annotations

from tidegate.errors import LogFailure
from tidegate.web.api import PREFIX
from unit.web.world import World

OPEN = {"/health", "/bootstrap", "/enrol", "/login", "/login/device", "/login/device/token", "/oauth/token"}


def test_everything_else_needs_a_login(staffed: World) -> None:
    """Every operation of the OpenAPI document but a few answers 401 without a token."""
    document = staffed.http.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        if not path.startswith(PREFIX):
            continue  # what a standard puts at a place of its own is public
        short = path.removeprefix(PREFIX)
        for method in methods:
            url = short.replace("{", "").replace("}", "").replace("index", "0")
            answer = staffed.http.request(method, url, json={})
            assert (answer.status_code == 401) == (short not in OPEN), (method, path, answer.text)


def test_no_pages_with_foreign_scripts(staffed: World) -> None:
    """There are no interactive documentation pages."""
    for path in ("/docs", "/redoc"):
        assert staffed.http.get(f"{staffed.url}{path}").status_code == 404


def test_health_fails_with_the_log(world: World) -> None:
    """Once the log has failed the gateway says that it is not healthy."""
    assert world.http.get("/health").json() == {"status": "ok"}
    world.call(lambda: world.log._waiters.fail(LogFailure("disk")))
    assert world.http.get("/health").status_code == 503
