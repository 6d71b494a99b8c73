"""The chapter in which the same agent goes the same road to a cache and to an API."""

from __future__ import annotations

import json

from . import seed
from .desk import Desk
from .page import Page
from .stage import Stage
from .terminal import cached, fetched

WHO = seed.customer(43)


def cache(page: Page, stage: Stage, alice: Desk) -> None:
    """Hashes are masked by field; what would get around that, or destroy, is refused."""
    page.chapter(
        "The same road to a cache",
        "A stock redis-cli. Every command is understood by the server's own table: a hash is masked by field, and "
        "copying a key, a script or a serialised dump does not get around it.",
    )
    token = stage.handed(alice, "cache")
    shown = run(page, stage, token, "HGETALL user:43")
    page.promise("[masked" in shown and WHO.plan in shown, "e-mail and phone are masked, the plan is not", shown)
    page.promise(WHO.email not in shown and WHO.phone not in shown, "neither came through", shown)
    roads = (
        "RENAME user:43 harmless",
        "COPY user:43 harmless",
        "EVAL \"return redis.call('HGET', 'user:43', 'email')\" 0",
        "FLUSHALL",
        "CONFIG GET requirepass",
    )
    answers = run(page, stage, token, *roads)
    page.promise(answers.count("NOPERM") == len(roads), "each is refused, and the session goes on", answers)
    page.promise(stage.cache.ask("DBSIZE") == "50", "asked past the gateway, the cache says that nothing changed")


def run(page: Page, stage: Stage, token: str, *lines: str) -> str:
    """Type commands as the agent, show them with their answers."""
    shown = cached(stage.cache.bin, stage.cache_port, "cache", stage.root / "agent" / token, *lines)
    page.typed("claude-code", "cache>", "; ".join(lines))
    page.shown(shown)
    return shown


def billing(page: Page, stage: Stage, alice: Desk) -> None:
    """A document is masked by path and searched; a request is judged by method and path; a key is never echoed."""
    page.chapter(
        "The same road to an API",
        "Stock curl. The agent's token opens the gateway, the service's own key never leaves it. The answer is masked "
        "by path while it streams; what no path names is searched.",
    )
    token = stage.handed(alice, "billing")
    status, body = ask(page, stage, token, "GET", "/customers/43")
    page.promise(status == 200 and json.loads(body)["plan"] == WHO.plan, "the customer is found", body)
    clear = [value for value in WHO.secrets if value in body]
    page.promise("[masked" in body and not clear, "no clear value came through, in no field and no note", body)
    status, body = ask(page, stage, token, "DELETE", "/customers/43")
    page.promise(status == 403 and "agents-do-not-delete" in body, "deleting is refused, by a rule with a name", body)
    status, body = ask(page, stage, token, "GET", "/headers")
    page.promise(stage.billing.key not in body, "a service that shows its own key does not give it away", body)


def ask(page: Page, stage: Stage, token: str, method: str, path: str) -> tuple[int, str]:
    """Make a request as the agent, show it with its answer."""
    url = f"http://127.0.0.1:{stage.http_port}/r/billing{path}"
    status, body = fetched(method, url, stage.root / "agent" / token)
    page.typed("claude-code", "$", f"curl -X {method} -H @token {url}")
    page.shown(f"{status} {body}")
    return status, body
