"""The arithmetic of the benchmark, its chart, and its canned upstream."""

from __future__ import annotations

import statistics
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from chart import chart
from claims import Result, Target, Window, percentile, ratios
from hypothesis import given
from hypothesis import strategies as st
from loads import Connection
from page import Machine, Outcome, page
from rows import Row
from ways import canned, direct
from windows import Way

from servers import Postgres

figures = st.floats(0.001, 1e6)
MACHINE = Machine("a server", "a build", 0.0, 60.0)


@given(figures, figures, st.booleans())
def test_a_target_is_met_or_missed_by_a_factor_above_one(limit: float, figure: float, most: bool) -> None:
    """Nothing is both met and missed, and a missed target says by how much."""
    said = Target(limit, most=most).verdict(figure)
    assert (said == "met") == (figure <= limit if most else figure >= limit)
    assert said == "met" or float(said.removeprefix("missed by ").removesuffix("×").replace(",", "")) >= 1


@pytest.mark.parametrize(("figure", "said"), [(0.5, "missed by 1.7×"), (0.85, "met"), (1.0, "met, and the aim")])
def test_the_words_of_a_verdict(figure: float, said: str) -> None:
    """A rate at its limit is met, at its aim too, and below says how far."""
    assert Target(0.85, most=False, aim=1.0).verdict(figure) == said


def test_a_figure_that_is_zero_misses_a_lower_bound() -> None:
    """No division by a figure of nothing."""
    assert Target(0.85, most=False).verdict(0.0) == "missed by any factor"


@given(st.lists(figures, min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_enough_are_not_above(values: list[float], share: float) -> None:
    """Nearest rank: one of the values, the least that leaves no more than the rest above it."""
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


@given(st.lists(st.tuples(figures, figures), min_size=1))
def test_a_ratio_is_taken_within_a_round(pairs: list[tuple[float, float]]) -> None:
    """The median of ratios, not the ratio of medians."""
    found = Result("", Target(1, most=True), ratios(*map(list, zip(*pairs, strict=True))), 0.0).figure
    assert found == statistics.median(one / other for one, other in pairs)


def test_a_row_whose_log_does_not_hold_shows_no_figure() -> None:
    """Evidence outranks speed: the figures of such a row are nowhere on the page."""
    row = Row([Result("a claim", Target(2, most=True), [987.0], 0.0)], {"a load": {"tidegate": [Window(987, 654, 0)]}})
    shown = page({"a": Outcome("a. A row.", row)}, MACHINE, 2, 5)
    hidden = page({"a": Outcome("a. A row.", row, failure="the log does not hold")}, MACHINE, 2, 5)
    assert "987" in shown and "654" in shown
    assert "987" not in hidden and "654" not in hidden and "the log does not hold" in hidden


def test_the_chart_has_a_bar_for_every_way() -> None:
    """Well-formed, with the values written beside the bars; the direct way costs no proxy anything."""
    ways = {name: [Window(rate, cost, 0.1)] for name, rate, cost in (("direct", 900, 0), ("tidegate", 450, 77))}
    drawn = chart({"read, simple, 8 clients": ways})
    texts = {element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {"900", "450", "77", "simple", "8 clients"} <= texts
    assert "0" not in texts


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server with pgbench's table as far as its select needs it."""
    with Postgres("debian", auth="trust") as server:
        server.psql("create database bench")
        server.psql(
            "create table pgbench_accounts as select n as aid, n as abalance from generate_series(1,9) n", "bench"
        )
        yield server


def test_the_canned_upstream_repeats_what_the_server_said(server: Postgres, tmp_path: Path) -> None:
    """pgbench's select is answered from memory after the first time; everything else is the server's."""
    with ExitStack() as running:
        port = canned(running, tmp_path, server)
        past = direct(server)
        connection = Connection(Way("canned", port, past.user, past.password, past.database))
        asked = "SELECT abalance FROM pgbench_accounts WHERE aid = 3"
        first = connection.ask(asked)
        server.psql("delete from pgbench_accounts", "bench")
        assert first == connection.ask(asked) == (1, connection.ask(asked)[1])
        assert connection.ask("SELECT count(*) FROM pgbench_accounts WHERE aid > 0")[0] == 1
        assert connection.ask("SELECT aid FROM pgbench_accounts")[0] == 0
        connection.close()
