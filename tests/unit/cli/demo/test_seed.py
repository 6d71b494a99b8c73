"""The shop's rows are the same every time, well-formed, and belong to nobody."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.demo import seed

NUMBERS = st.integers(1, seed.CUSTOMERS)


@pytest.mark.parametrize(("digits", "check"), [("7992739871", "3"), ("411111111111111", "1"), ("0", "0")])
def test_check_digit_is_the_known_one(digits: str, check: str) -> None:
    """Published numbers get their published check digit."""
    assert seed.check_digit(digits) == check


@given(NUMBERS)
def test_values_are_from_ranges_set_aside(number: int) -> None:
    """No row can be a person's: reserved domain, fictional phone, never-issued SSN, test card."""
    row = seed.customer(number)
    assert row.email.endswith("@example.com")
    assert " 555 01" in row.phone
    assert row.ssn.startswith("666-") and len(row.ssn) == 11
    assert row.card.startswith("40000012") and len(row.card) == 16


@pytest.mark.parametrize("name", ["email", "ssn", "card"])
def test_identifying_values_are_unique(name: str) -> None:
    """A value names one customer, so a leak can be traced to its row."""
    assert len({getattr(row, name) for row in seed.customers()}) == seed.CUSTOMERS


def test_most_notes_hold_a_clear_value() -> None:
    """Free text holds what notes hold, which is why it is masked whole."""
    held = sum(any(value in row.notes for value in row.secrets) for row in seed.customers())
    assert held == seed.CUSTOMERS * 4 // 5


def test_orders_are_counted_by_day() -> None:
    """The count that the story promises is the count of the rows."""
    assert seed.orders_before(date(2024, 1, 1)) == 0
    assert seed.orders_before(date(2030, 1, 1)) == seed.ORDERS
    assert 0 < seed.orders_before(date(2024, 7, 1)) < seed.ORDERS


def test_orders_belong_to_customers() -> None:
    """Every order names a customer that exists."""
    assert all(1 <= order[1] <= seed.CUSTOMERS for order in seed.orders())
