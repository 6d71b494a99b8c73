"""The gateway's own secrets: sealed, bound to their names, never listed with their values."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tidegate.errors import ConfigError, IntegrityError, TidegateError
from tidegate.store.box import Box
from tidegate.store.rows import Store
from tidegate.store.secrets import Safe, look

VALUE = "correct horse battery"


@pytest.fixture
def box() -> Box:
    """A box with a key of its own."""
    return Box(os.urandom(32))


@pytest.fixture
def safe(store: Store, box: Box) -> Safe:
    """A safe with one secret."""
    kept = Safe(store, box)
    kept.put("shop", VALUE, by="u_1", changed=7, leaf=3)
    return kept


def test_a_value_reads_back_and_is_replaced(safe: Safe) -> None:
    """The newest value counts; who set it and when is known."""
    assert safe.value("shop") == VALUE
    row = safe.put("shop", "next", by="u_2", changed=8, leaf=4)
    assert safe.value("shop") == "next"
    assert safe.listing() == [row] == [safe.find("shop")]
    assert (row.by, row.changed, row.leaf) == ("u_2", 8, 4)


def test_what_is_removed_or_was_never_there(safe: Safe) -> None:
    """The error says the name and how to set it."""
    safe.remove("shop")
    with pytest.raises(ConfigError, match="store:shop is not there") as error:
        safe.value("shop")
    assert (error.value.code, "tidegate secret set shop" in error.value.hint) == ("secret.missing", True)
    assert safe.find("shop") is None


def test_the_file_holds_no_value(safe: Safe, tmp_path: Path) -> None:
    """Neither the database nor its log of writes shows a value, nor does a row's text."""
    for path in tmp_path.glob("store.db*"):
        assert VALUE.encode() not in path.read_bytes()
    assert VALUE not in repr(safe.find("shop"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'crm') WHERE name = 'shop'",
        "UPDATE secrets SET sealed = x'00' WHERE name = 'shop'",
        "UPDATE secrets SET name = 'x' WHERE name = 'shop'; UPDATE secrets SET name = 'shop' WHERE name = 'crm'",
        "UPDATE secrets SET leaf = 9 WHERE name = 'shop'",
        "UPDATE secrets SET \"by\" = 'u_9' WHERE name = 'shop'",
    ],
)
def test_a_file_that_somebody_edited(safe: Safe, tmp_path: Path, statement: str) -> None:
    """No secret is put in another's place by hand."""
    safe.put("crm", "another", by="u_1", changed=7, leaf=4)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.executescript(statement)
    with pytest.raises(IntegrityError):
        safe.value("shop")


def test_looking_from_outside(safe: Safe, box: Box, tmp_path: Path) -> None:
    """A check reads without writing: what is there opens, with this key only; what is not is named."""
    path = tmp_path / "store.db"
    look(path, box, "shop")
    with pytest.raises(IntegrityError):
        look(path, Box(os.urandom(32)), "shop")
    for at, name in ((path, "crm"), (tmp_path / "nothing.db", "shop")):
        with pytest.raises(TidegateError, match="is not there"):
            look(at, box, name)
    assert not (tmp_path / "nothing.db").exists()
