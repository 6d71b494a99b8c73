"""A part of `make matrix` with the clients that tests bring anyway; the rest needs other languages and more time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "matrix"))

from clients import CLIENTS
from matrix_page import page, picture
from play import UNSUPPORTED, Cell, Client, Played, judge, play

from servers import Postgres, ServerMissing, binaries

QUICK = {
    "18": ("psql", "psycopg 3", "asyncpg", "pg_dump and pg_restore"),
    "17": ("psql", "pg_dump and pg_restore"),
    "debian": ("psql", "pg_dump and pg_restore"),
}
"""Clients by the edition of the server, whose own psql and pg_dump they are."""

RUNS = [(edition, name) for edition, names in QUICK.items() for name in names]
REFUSED = '{{"code": "policy.refused", "request": "01a22330-b69f-7dfc-a909-e4b27b4cb91b/{}"}}'


@pytest.fixture(scope="module")
def played() -> dict[tuple[str, str], tuple[Cell, ...]]:
    """The cells of the quick clients on the servers that ordinary tests have."""
    found = {}
    for edition, names in QUICK.items():
        with Postgres(edition, settings=["max_prepared_transactions=8"]) as server:
            for one in play(server, [client for client in CLIENTS if client.name in names]):
                found[edition, one.client.name] = one.cells
    return found


@pytest.mark.parametrize(("edition", "client"), RUNS)
def test_a_client_sees_what_it_would_see_directly(
    edition: str, client: str, played: dict[tuple[str, str], tuple[Cell, ...]]
) -> None:
    """Every cell of the client passes: the same result both ways, masks apart, and refusals only where they belong."""
    cells = played[edition, client]
    failed = {cell.tried: cell.reason for cell in cells if not cell.passed}
    assert cells and not failed, "\n".join(map(str, failed.items()))


def test_what_a_client_does_not_do_is_no_failure() -> None:
    """A thing that the client itself does not do with a server is neither passed nor failed."""
    (cell,) = judge([{"tried": "a", "unsupported": "too old"}], [{"tried": "a", "unsupported": "too old"}])
    assert (cell.word, cell.counts, cell.reason) == (UNSUPPORTED, False, "too old")


def test_the_page_says_what_came_of_each_thing() -> None:
    """Every thing tried is there for every version; a reason stands once for all versions it holds for."""
    client = Client("psql", ("psql",))
    good = Cell("`\\d`", True, "passed")
    runs = [
        Played(client, "psql 18", server, (good, Cell("copy", False, "failed", REFUSED.format(number))))
        for number, server in enumerate(("18.6", "13.23"))
    ]
    none = Played(Client("Django", ("django",)), "5.2", "13.23", (Cell("migrate", True, UNSUPPORTED, "too old"),))
    text = page([*runs, none])
    assert "| [psql](#psql) | **1 / 2** | **1 / 2** |" in text and "| [Django](#django) | – | – |" in text
    assert "- passed on every version (1): `\\d`" in text and "| copy | ✗ | ✗ |" in text
    assert text.count("policy.refused") == 1 and "- psql on 18.6, 13.23: copy: failed, `" in text
    assert "- Django on 13.23: everything: too old" in text
    assert picture(runs).count("1 / 2") == 2


def test_a_server_from_npm_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing but `make matrix` installs the oldest servers: asking for one says so."""
    monkeypatch.setattr("servers.NODE", tmp_path)
    with pytest.raises(ServerMissing, match="make matrix"):
        binaries.__wrapped__("13")


def test_a_cell_that_differs_fails() -> None:
    """The comparison notices a difference, an address in clear, a refusal that did not come, and silence."""
    plain = [{"tried": name, "got": "person0001@mail.example"} for name in "abc"] + [
        {"tried": "d", "got": 1, "refused": True}
    ]
    guarded = [
        {"tried": "a", "got": "[masked:email 01234567]"},
        {"tried": "b", "got": "person0001@mail.example"},
        {"tried": "d", "got": 1},
    ]
    assert [cell.passed for cell in judge(plain, guarded)] == [True, False, False, False]
