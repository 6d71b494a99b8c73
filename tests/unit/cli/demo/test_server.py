"""The demo's database is real, seeded and gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import free_port
from tidegate.cli.demo import seed
from tidegate.cli.demo.server import Shop
from tidegate.errors import ResourceError


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """One shop for the module; its directory must be reachable by the server's account."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        shop = Shop(Path(name) / "shop", free_port())
        yield shop
        shop.stop()


def test_the_shop_has_all_rows(shop: Shop) -> None:
    """Every customer and order is there."""
    assert shop.ask("SELECT count(*) FROM customers") == str(seed.CUSTOMERS)
    assert shop.ask("SELECT count(*) FROM orders") == str(seed.ORDERS)


def test_a_row_is_the_one_that_arithmetic_says(shop: Shop) -> None:
    """The server holds exactly the values that tests look for."""
    row = seed.customer(42)
    assert shop.ask("SELECT email, ssn, card, born FROM customers WHERE id = 42") == "|".join(
        (row.email, row.ssn, row.card, row.born.isoformat())
    )


def test_the_gateway_owns_the_tables_and_is_no_superuser(shop: Shop) -> None:
    """What the gateway refuses would have worked: its role may drop the tables."""
    assert shop.ask("SELECT tableowner FROM pg_tables WHERE tablename = 'customers'") == "gateway"
    assert shop.ask("SELECT rolsuper FROM pg_roles WHERE rolname = 'gateway'") == "f"


def test_a_bad_statement_is_an_error(shop: Shop) -> None:
    """The demo's own checks cannot fail silently."""
    with pytest.raises(ResourceError, match="nowhere"):
        shop.ask("SELECT * FROM nowhere")
