"""Identity providers through a real gateway: in by a browser, and out when the provider says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import psycopg
import pytest

from gateway import Gateway, free_port
from providers import Browser, OpenIdProvider
from servers import Postgres

from .conftest import TAGS, shop

SECTIONS = """web: {{url: "{url}"}}
login:
  providers:
    corp: {{kind: oidc, issuer: "{issuer}", client_id: gw, secret: env:OP_SECRET, userinfo: true,
           scopes: [openid, profile, email, groups], groups: {{dba: dba}}}}
"""


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "workers"])
def pair(
    request: Any, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, OpenIdProvider]]:
    """A gateway of one process, then of two workers, and a provider at which bob is linked; its log verifies."""
    api = free_port()
    url = f"http://127.0.0.1:{api}"
    op = OpenIdProvider(f"{url}/login/corp/callback", logout=f"{url}/login/corp/backchannel")
    gateway = Gateway(
        tmp_path_factory.mktemp("providers") / "gw", shop(postgres, f"shop_providers_{request.param}"), tags=TAGS,
        workers=request.param, api=api, sections=SECTIONS.format(url=url, issuer=op.issuer),
        environment={"OP_SECRET": str(op.client["client_secret"])},
    )  # fmt: skip
    with op:
        gateway.start().people()
        gateway.call("POST", "agents", "alice", name="helper", owner="bob")
        gateway.call("POST", "people/bob/links", "alice", provider="corp", subject="bob")
        yield gateway, op
        assert gateway.stop() == 0
        assert gateway.verify() == 0
        assert str(op.client["client_secret"]) not in gateway.output


def entered(gateway: Gateway, name: str) -> tuple[Browser, httpx2.Response]:
    """A browser that has come back from the provider, and what the gateway answered."""
    browser = Browser(login=name, password="any")
    back = f"{gateway.url}/login/corp/callback"
    answer = browser.visit(f"{gateway.url}/login/corp", back)
    return browser, browser.get(f"{back}?{urlencode(answer)}")


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it does."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def test_in_and_out(pair: tuple[Gateway, OpenIdProvider]) -> None:
    """Bob logs in at the provider; when he logs out there, his logins end, and his agent's session in mid-statement."""
    gateway, op = pair
    browser, answer = entered(gateway, "bob")
    assert answer.status_code == 200
    assert "bob" in browser.get(f"{gateway.url}/me").text
    token = gateway.token(agent="helper", by="bob")
    with psycopg.connect(gateway.dsn(token), autocommit=True) as session:
        assert session.execute("select 1").fetchone() == (1,)
        browser.leave(op.issuer)
        eventually(lambda: _ended(session))
    assert browser.get(f"{gateway.url}/me").status_code == 303
    me = httpx2.get(f"{gateway.url}/api/v1/me", headers={"authorization": f"Bearer {gateway.logins['bob']}"})
    assert me.status_code == 401
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(gateway.dsn(token))
    assert entered(gateway, "bob")[1].status_code == 200


def _ended(session: psycopg.Connection[Any]) -> bool:
    try:
        session.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def test_strangers_stay_out(pair: tuple[Gateway, OpenIdProvider]) -> None:
    """The provider knows alice; here nobody has said who that is, and the page says what to do about it."""
    _, answer = entered(pair[0], "alice")
    assert answer.status_code == 403
    assert "tidegate people link NAME --provider corp --subject alice" in answer.text


def test_an_answer_in_another_browser(pair: tuple[Gateway, OpenIdProvider]) -> None:
    """Login CSRF: an answer that somebody else's browser brings is refused."""
    gateway, _ = pair
    back = f"{gateway.url}/login/corp/callback"
    answer = Browser(login="bob", password="any").visit(f"{gateway.url}/login/corp", back)
    victim = Browser()
    assert victim.get(f"{back}?{urlencode(answer)}").status_code in (400, 401, 403)
    assert victim.get(f"{gateway.url}/me").status_code == 303
