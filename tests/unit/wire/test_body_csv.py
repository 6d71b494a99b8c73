"""Tables with a header line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pieces import splits
from tidegate.errors import ResourceError
from tidegate.model.operation import Transform
from tidegate.wire.body_csv import LONGEST, CsvBody

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


def look(path: str) -> Transform | None:
    return (lambda _: b'm"k') if path == "$[*].secret" else None


def whole(body: CsvBody, parts: list[bytes]) -> bytes:
    return b"".join(map(body.feed, parts)) + body.end()


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]), st.data())
def test_only_the_tagged_column_changes(rows: list[tuple[str, str]], line: str, data: st.DataObject) -> None:
    """For any values, as another reader of tables sees it, in any pieces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=line)
    writer.writerows([("id", "secret"), *rows])
    raw = text.getvalue().encode()
    found = whole(CsvBody(look, None), data.draw(splits(raw)))
    read = list(csv.reader(io.StringIO(found.decode(), newline="")))
    wanted = list(csv.reader(io.StringIO(raw.decode(), newline="")))
    assert [row[0] for row in read] == [row[0] for row in wanted]
    assert [row[1] for row in read[1:]] == ['m"k' if row[1] else "" for row in wanted[1:]]
    assert whole(CsvBody(lambda _: None, None), [raw]) == raw


@pytest.mark.parametrize(
    "text", [b'a,secret\n1,"x', b"a,secret\n1,2,x\n", b'a,secret\n1,"x"y\n', b"a,b\n" + b"x" * LONGEST]
)
def test_what_is_no_table_is_an_error(text: bytes) -> None:
    """Fields that have no column could hold any."""
    with pytest.raises(ResourceError):
        whole(CsvBody(look, None), [text, b"x"])
