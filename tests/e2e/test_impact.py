"""What an approver learns before saying yes, through a real gateway and a real server; and what makes a yes void."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from e2e.test_holds import ask, question
from gateway import Gateway
from servers import Postgres

BULK = "update customers set city = 'Rome'"


def test_estimate_then_try_then_approve(gateway: Gateway, postgres: Postgres) -> None:
    """An estimate, a dry run with masked rows that changes nothing, and then the real thing."""
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool, "update orders set total = total + 0 where id > 0 or true")
        held = question(gateway)
        estimate = gateway.call("GET", f"approvals/{held['id']}/impact", "bob")
        assert (estimate["unknown"], estimate["exact"], estimate["objects"]) == ("", False, ["public.orders"])
        assert estimate["rows"] > 100
        gateway.call("POST", f"approvals/{held['id']}/approve", "bob")
        assert answer.result(20) == "UPDATE 1000"
        agent.close()
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool, BULK)
        held = question(gateway)
        tried = gateway.call("POST", f"approvals/{held['id']}/try", "bob")
        assert (tried["unknown"], tried["rows"], tried["exact"]) == ("", 500, True)
        assert len(tried["before"]["rows"]) == len(tried["after"]["rows"]) == 20
        assert "@mail.example" not in str(tried) and tried["after"]["rows"][0][6] == "Rome"
        assert postgres.psql("select count(*) from customers where city = 'Rome'", "shop_e2e") == "0"
        gateway.call("POST", f"approvals/{held['id']}/refuse", "bob", reason="no need")
        with pytest.raises(psycopg.Error, match="no need"):
            answer.result(20)
        agent.close()


@pytest.mark.parametrize(
    "change",
    [
        "create trigger t before update on orders for each row execute function suppress_redundant_updates_trigger()",
        "alter table orders add column more int",
        "create rule t as on update to orders where new.id < 0 do instead nothing",
    ],
)
def test_a_changed_definition_voids_the_yes(gateway: Gateway, postgres: Postgres, change: str) -> None:
    """Somebody redefines between question and answer: the yes is void, and nothing has run."""
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool)
        held = question(gateway)
        postgres.psql(change, "shop_e2e")
        gateway.call("POST", f"approvals/{held['id']}/approve", "bob")
        with pytest.raises(psycopg.Error, match="is void"):
            answer.result(20)
        agent.close()
    for undo in ("drop trigger if exists t on orders", "drop rule if exists t on orders",
                 "alter table orders drop column if exists more"):  # fmt: skip
        postgres.psql(undo, "shop_e2e")


def test_noise_does_not(gateway: Gateway, postgres: Postgres) -> None:
    """Rows, statistics and indexes that change meanwhile do not make a yes void."""
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool)
        held = question(gateway)
        for text in ("update orders set total = total where id < 10", "create index noise on orders (total)",
                     "drop index noise", "analyze orders", "vacuum orders"):  # fmt: skip
            postgres.psql(text, "shop_e2e")
        gateway.call("POST", f"approvals/{held['id']}/approve", "bob")
        assert answer.result(20) == "UPDATE 1000"
        agent.close()
