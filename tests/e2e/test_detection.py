"""Values that no column is tagged for are found in the text itself, by a real server's answers to real clients."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from gateway import POLICY, Gateway, Upstream
from servers import Postgres

TEXT = "mail bob@corp.example, card 4111 1111 1111 1111, key AKIAIOSFODNN7EXAMPLE"
CLEAR = ("bob@corp.example", "4111 1111", "AKIAIOSFODNN7EXAMPLE")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that looks for personal data and keys; one table without any tag."""
    with Postgres("18") as server:
        server.psql("create database detection")
        server.psql(
            "create table notes (id int primary key, note text, doc jsonb, raw bytea, number numeric)", "detection"
        )
        document = json.dumps({"note": TEXT, "card": 4111111111111111, "n": 1})
        first = f"(1, '{TEXT}', '{document}', '\\x00', 4111111111111111)"
        server.psql(f"insert into notes values {first}, (2, 'nothing', '{{}}', null, 1)", "detection")
        upstream = Upstream("127.0.0.1", server.port, "detection", server.user, server.password)
        gateway = Gateway(tmp_path_factory.mktemp("detection"), upstream, policy=POLICY)
        gateway.configure()
        path = gateway.directory / "tidegate.yaml"
        path.write_text(
            path.read_text().replace("    labels: {env: prod}", "    labels: {env: prod}\n    detect: [pii, secret]")
        )
        yield gateway.start().people()
        assert gateway.stop() == 0
        assert gateway.verify() == 0


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "select note from notes order by id",
        "select note as harmless, id from notes",
        "select upper(note) || ' ' || note from notes where id = 1",
        "select doc from notes order by id",
        "select doc->>'note' from notes",
        "select json_agg(n) from notes n where id = 1",
        "select row_to_json(n)::text from notes n where id = 1",
    ],
)
def test_found_in_every_answer(shop: Gateway, statement: str, binary: bool) -> None:
    """Text and JSON, in both formats, by whatever name; and JSON is still JSON."""
    with psycopg.connect(shop.dsn(shop.token())) as connection:
        rows = connection.cursor(binary=binary).execute(statement).fetchall()
    assert "[masked" in repr(rows)
    assert not [value for value in CLEAR if value in repr(rows) or value.upper() in repr(rows).upper()]


def test_what_is_no_text_is_not_touched(shop: Gateway) -> None:
    """A number has its type, and rows without findings are the very bytes."""
    with psycopg.connect(shop.dsn(shop.token())) as connection:
        assert connection.execute("select number from notes where id = 1").fetchone() == (4111111111111111,)
        assert connection.execute("select note, doc from notes where id = 2").fetchone() == ("nothing", {})


@pytest.mark.parametrize("how", ["", "(format csv)"])
def test_found_in_bulk_output(shop: Gateway, how: str) -> None:
    """A row at a time; the rows remain rows."""
    with psycopg.connect(shop.dsn(shop.token())) as connection:
        with connection.cursor().copy(f"copy (select id, note from notes order by id) to stdout {how}") as copy:
            rows = b"".join(map(bytes, copy)).decode().splitlines()
        assert connection.execute("select 1").fetchone() == (1,)
    assert len(rows) == 2
    assert "[masked:card]" in rows[0]
    assert not [value for value in CLEAR if value in rows[0]]
    assert rows[1].endswith("nothing")


def test_binary_bulk_output_ends(shop: Gateway) -> None:
    """Nothing of it is seen."""
    seen = b""
    with psycopg.connect(shop.dsn(shop.token())) as connection, pytest.raises(psycopg.Error, match="binary"):
        copying = connection.cursor().copy("copy (select note from notes) to stdout (format binary)")
        with copying as copy:
            for part in copy:
                seen += bytes(part)
    assert b"4111" not in seen


def test_what_was_replaced_is_in_the_log(shop: Gateway) -> None:
    """Counted by column, only what really changed."""
    with psycopg.connect(shop.dsn(shop.token())) as connection:
        connection.execute("select note, id, doc from notes order by id").fetchall()
    session = shop.call("GET", "sessions", "alice")["items"][0]
    shown = shop.call("GET", f"sessions/{session['sid']}/replay", "alice")["operations"]
    masked = [each["outcome"]["masked"] for each in shown if each["outcome"] and each["outcome"]["masked"]]
    assert masked == [{"public.notes.note": 1, "public.notes.doc": 1}]
