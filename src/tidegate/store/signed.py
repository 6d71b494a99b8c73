"""Rows that carry a signature: what was written by this gateway can be told from what was put into the file.

The signature covers the table's name and every stored column but copies to sort by, so a row cannot be changed, nor
moved to another table. It does not keep an older version of the same row from coming back; the row's ``leaf`` does, for
whoever reads the log.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import orjson
from sqlalchemy import Table

from tidegate.errors import IntegrityError

Values: TypeAlias = Mapping[str, Any]
"""A row's columns as they are stored: text, numbers, booleans, bytes."""


class Signer(Protocol):
    """Who signs rows. The domain is the signer's own, so that a row's signature fits nothing else."""

    def sign_row(self, data: bytes) -> bytes:
        """The signature over ``data``."""

    def verify_row(self, data: bytes, signature: bytes) -> bool:
        """Whether ``signature`` was made over ``data`` by ``sign_row``."""


def signed(table: Table, values: Values, signer: Signer) -> dict[str, Any]:
    """``values`` with their signature."""
    return {**values, "signature": signer.sign_row(_canonical(table, values))}


def verified(table: Table, stored: Values, signer: Signer) -> dict[str, Any]:
    """The columns of a stored row without the signature. Raises IntegrityError ``store.forged``."""
    # SQLAlchemy's names are a subclass of str, which does not serialise.
    values = {str(name): value for name, value in stored.items() if name != "signature"}
    try:
        genuine = signer.verify_row(_canonical(table, values), bytes(stored["signature"]))
    except (orjson.JSONEncodeError, TypeError):
        genuine = False
    if not genuine:
        raise IntegrityError(
            f"a row of the store's table {table.name} was not written by this gateway",
            hint="Somebody changed the store's file. Stop the gateway, keep a copy, and compare with the audit log.",
            code="store.forged",
        )
    return values


def _canonical(table: Table, values: Values) -> bytes:
    row = {name: value for name, value in values.items() if _covered(table.c[name].info, value)}
    return orjson.dumps({"table": table.name, "row": row}, default=_text, option=orjson.OPT_SORT_KEYS)


def _covered(info: Mapping[str, Any], value: object) -> bool:
    """A column that came later is left out while it holds its default, so that older rows keep their signature."""
    return info.get("signed", True) is True and ("default" not in info or info["default"] != value)


def _text(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    raise TypeError(f"a column holds {type(value).__name__}")
