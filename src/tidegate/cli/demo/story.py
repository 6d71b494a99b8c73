"""The story: an agent works with a shop's database through the gateway, and everyone does their part.

Each chapter is a function that types real commands and states what must be true of the answers; a promise that is
not kept ends the demo.
"""

from __future__ import annotations

import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from tidegate.errors import TidegateError

from . import proof, roads, seed
from .desk import Desk
from .page import Page
from .psql import Psql
from .stage import Stage

TURN = date(2024, 7, 1)
"""Orders placed before this day are the ones that the agent wants to cancel."""

BULK = "UPDATE orders SET status = 'cancelled' WHERE placed_on < '2024-07-01';"


@dataclass(frozen=True, slots=True)
class Cast:
    """The people at their desks."""

    operator: Desk
    alice: Desk
    bob: Desk


def play(*, once: bool) -> int:
    """Play all chapters; returns 0. Raises TidegateError when a promise is not kept."""
    began = time.monotonic()
    page = Page()
    page.title("TIDEGATE", "A gateway between AI agents and the systems they use.")
    page.say(
        "Starting a real PostgreSQL with 10,000 customers and 20,000 orders, a Redis, a billing API, and a gateway in "
        "front of all three ..."
    )
    signal.signal(signal.SIGTERM, _interrupted)
    with Stage(page, known=not once) as stage:
        cast = people(stage)
        with Psql(stage.shop.bin / "psql", stage.port, stage.passfile) as agent:
            reading(page, agent)
            refusals(page, agent, stage)
            holding(page, agent, stage, cast)
        roads.cache(page, stage, cast.alice)
        roads.billing(page, stage, cast.alice)
        replay(page, cast)
        auditor = proof.whole(stage, cast.operator)
        proof.flipped(stage, auditor)
        proof.truncated(stage, auditor)
        proof.rewritten(stage, auditor)
        page.chapter("Done", f"{page.checks} promises checked in {time.monotonic() - began:.0f} seconds.")
        if not once:
            leave_up(stage)
    return 0


def people(stage: Stage) -> Cast:
    """Enrol everyone, and mint the agent's token."""
    page = stage.page
    page.chapter(
        "Who is who",
        "alice works in the shop and lets an agent, claude-code, act for her. bob approves what needs a second person. "
        "The operator runs the gateway; the first login takes the one-time code that the gateway printed.",
    )
    cast = Cast(stage.desk("operator"), stage.desk("alice"), stage.desk("bob"))
    cast.operator.types("login", "--code", stage.bootstrap_code, "--name", "operator", "--gateway", stage.api)
    for desk, group in ((cast.alice, "staff"), (cast.bob, "approvers")):
        shown = cast.operator.types("people", "add", desk.name, "--group", group)
        desk.types("login", "--code", one_time_code(shown), "--gateway", stage.api)
    cast.alice.types("agents", "add", "claude-code")
    mint(stage, cast.alice)
    text = stage.passfile.read_text()
    page.promise(stage.shop.password not in text, "the agent holds a token for 15 minutes and no database password")
    return cast


def one_time_code(shown: str) -> str:
    """The code that `people add` printed on a line of its own. Raises TidegateError when there is none."""
    found = re.search(r"^[A-Z2-7]+(?:-[A-Z2-7]+)+$", shown, re.MULTILINE)
    if found is None:
        raise TidegateError("a promise was not kept: `people add` prints a code", hint=shown, code="demo.promise")
    return found[0]


def mint(stage: Stage, alice: Desk) -> None:
    """alice gives her agent a token: one resource, fifteen minutes, a reason."""
    reason = "Clean up orders that were never paid (OPS-17)"
    alice.types(
        *("token", "create", "--agent", "claude-code", "--for", "alice", "--resource", "shop", "--ttl", "15m"),
        *("--reason", reason, "--out", stage.passfile),
    )


def reading(page: Page, agent: Psql) -> None:
    """The agent reads customers; what is tagged as personal is masked wherever it flows."""
    page.chapter(
        "The agent reads, and sees only what it may",
        "A stock psql, pointed at the gateway. Masks follow the data, not the column name: aliases, functions and "
        "SELECT * change nothing. A mask keeps its type, so a date becomes NULL.",
    )
    answers = [
        ask(page, agent, "SELECT id, email, ssn, card, born, city FROM customers ORDER BY id LIMIT 4;"),
        ask(page, agent, "SELECT email AS note, upper(ssn) AS code, 'tel ' || phone AS x FROM customers LIMIT 2;"),
        ask(page, agent, "SELECT * FROM customers WHERE id = 42 \\gx"),
    ]
    text = "\n".join(answers)
    page.promise(all("[masked" in answer for answer in answers), "e-mail, phone, SSN, card and notes are masked", text)
    found = [value for value in clear_values() if value in text]
    page.promise(not found, f"none of {len(clear_values()):,} clear values came through", text)
    counts = ask(page, agent, "SELECT plan, count(*) FROM customers GROUP BY plan ORDER BY plan;")
    page.promise("business" in counts and "[masked" not in counts, "what is not personal is untouched", counts)


def refusals(page: Page, agent: Psql, stage: Stage) -> None:
    """Every road to destruction ends at the gateway, in the protocol's own words, and the session goes on."""
    page.chapter(
        "The agent is refused",
        "Statements are understood by the database's own grammar, so nothing hides in a CTE, a block of code or behind "
        "a semicolon, and a masked value cannot be guessed at. The error says which rule, in a form that an agent can "
        "parse, and what to do instead.",
    )
    before = truth(stage)
    statements = (
        "DROP TABLE customers;",
        "DROP DATABASE shop;",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone;",
        "DO $$ BEGIN EXECUTE 'DELETE ' || 'FROM orders'; END $$;",
        "SELECT 1 \\; DELETE FROM orders;",
        "SELECT id FROM customers WHERE ssn = '666-08-0008';",
    )
    answers = [ask(page, agent, statement) for statement in statements]
    told = all(part in answer for answer in answers for part in ("ERROR:  42501", "DETAIL:  {", "HINT:"))
    page.promise(told, "each is refused with SQLSTATE 42501, a DETAIL in JSON and a HINT", "\n".join(answers))
    after = ask(page, agent, "SELECT count(*) AS orders FROM orders;")
    page.promise(f"{seed.ORDERS}" in after, "the session goes on", after)
    page.promise(truth(stage) == before, "asked past the gateway, the database says that nothing changed")


def holding(page: Page, agent: Psql, stage: Stage, cast: Cast) -> None:
    """A bulk write waits for a person who is not part of the request."""
    page.chapter(
        "A bulk change waits for a person",
        "The rule says hold. The agent's psql simply waits; bob sees exactly what would run, who asks through whom, "
        "and why; alice cannot approve what is asked in her own name.",
    )
    expected = seed.orders_before(TURN)
    page.typed("claude-code", "shop=>", BULK)
    agent.send(BULK)
    held = waiting(cast.bob)
    cast.bob.types("approvals", "ls")
    shown = cast.bob.types("approvals", "show", held["id"])
    exact = all(part in shown for part in (BULK.rstrip(";"), "alice (code) -> claude-code (token)", "OPS-17"))
    page.promise(exact, "bob sees the exact statement, who asks through whom, and the reason", shown)
    page.promise(truth(stage)[1] == "0", "nothing has run yet")
    cast.alice.types("approvals", "approve", held["id"], expect=(77, 65))
    page.promise(truth(stage)[1] == "0", "alice cannot approve what is asked in her own name")
    cast.bob.types("approvals", "approve", held["id"])
    answer = agent.answer()
    page.typed("claude-code", "shop=>", "-- the same psql, still waiting, now gets its answer")
    page.shown(answer)
    page.promise(f"UPDATE {expected}" in answer, f"the statement ran once approved: UPDATE {expected}", answer)
    page.promise(truth(stage)[1] == str(expected), "the database agrees")


def waiting(bob: Desk) -> dict[str, Any]:
    """The one operation that waits for an answer. Raises TidegateError when none appears."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        held: list[dict[str, Any]] = bob.asks("approvals", "ls")
        if held:
            return held[0]
    raise TidegateError("a promise was not kept: the bulk UPDATE is held for approval", code="demo.promise")


def replay(page: Page, cast: Cast) -> None:
    """The session, statement by statement."""
    page.chapter(
        "The session, replayed",
        "Both directions of the session were recorded and sealed. alice replays what her agent did: each statement, "
        "what was decided and by which rule, who approved, what was masked.",
    )
    cast.alice.types("sessions", "ls")
    session = next(each for each in cast.alice.asks("sessions", "ls") if each["resource"] == "shop")
    shown = cast.alice.types("sessions", "replay", session["sid"])
    page.promise("DROP TABLE customers" in shown and BULK.rstrip(";") in shown, "every statement is there", shown)
    page.promise(
        "masked" in shown and "bulk-writes-need-approval" in shown and "bob" in shown,
        "so are masks, rules and the approver",
        shown,
    )


def leave_up(stage: Stage) -> None:
    """Wait for Ctrl-C with everything up."""
    page = stage.page
    page.say("The gateway stays up until Ctrl-C. What was made for this run goes with it. Now it is your turn:")
    page.recipe("Open another terminal or two, and in each:", stage.more_terminals())
    page.recipe(
        "Be the agent (its token lives 15 minutes). Try a DROP, or the UPDATE again, which waits for bob:",
        [f"PGPASSFILE=agent/token psql -h 127.0.0.1 -p {stage.port} -U claude-code -d shop"],
    )
    page.recipe(
        "Be bob, who then approves or refuses by the id that this shows (his password is in bob/password):",
        ["TIDEGATE_HOME=bob tidegate approvals ls"],
    )
    mint = "tidegate token create --agent claude-code --for alice --resource shop --out agent/token"
    page.recipe(
        "Be alice: look at what her agent did, and give it another 15 minutes:",
        ["TIDEGATE_HOME=alice tidegate sessions ls", f"TIDEGATE_HOME=alice {mint}"],
    )
    with suppress(KeyboardInterrupt):
        stage.watch()
    page.end("Everything is stopped and removed.")


def ask(page: Page, agent: Psql, statement: str) -> str:
    """Type a statement as the agent, show it with its answer."""
    page.typed("claude-code", "shop=>", statement)
    answer = agent.run(statement)
    page.shown(answer)
    return answer


def truth(stage: Stage) -> list[str]:
    """Asked past the gateway: customers and orders there are, and cancelled orders among them."""
    rows = stage.shop.ask(
        "SELECT (SELECT count(*) FROM customers) || '/' || (SELECT count(*) FROM orders);"
        "SELECT count(*) FROM orders WHERE status = 'cancelled';"
    )
    return rows.split("\n")


@cache
def clear_values() -> tuple[str, ...]:
    """Every tagged value of the shop: none may ever reach the agent."""
    return tuple(value for row in seed.customers() for value in row.secrets)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
