"""Requests for people: nothing is changed where it is shown, nothing is told where it leaves the house."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.operations.http_reading import reading, redacted

GRAPHQL = 'POST /graphql\nquery A($x: ID = 7) { u: user(id: $x, name: "bob") { email } } # bob'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /users", "GET /users"),
        ("GET /", "GET /"),
        ("GET /users/7?email=bob%40x.org&q", "GET /users/?" + "?email=?&q=?"),
        ("GET /users/bob", "GET /users/?"),
        ("GET /api/v2/users/bob/orders", "GET /api/v2/users/?/?"),
        ("GET /bob@example.org", "GET /?"),
        ("GET /4711", "GET /?"),
        ("GET /users?bob@x.org=1", "GET /users??=?"),
        ("DELETE /users/", "DELETE /users/"),
        ("PUT /users/7\n[masked:email ab]", "PUT /users/?"),
        (GRAPHQL, "POST /graphql query { user }"),
        ("POST /graphql\nmutation { a(b: 1) } query B { c }", "POST /graphql"),
        ("POST /graphql\nrubbish bob", "POST /graphql"),
        ("rubbish", ""),
        ("", ""),
        ("GET /" + "a" * 70_000, ""),
    ],
)
def test_values_are_left_out(text: str, shown: str) -> None:
    """The method, the first word of the path and names of parameters stay."""
    assert redacted(text) == shown


@given(st.text(alphabet="abcB7@%.-", min_size=1, max_size=8), st.text(alphabet="ab7@%", min_size=1, max_size=8))
def test_no_value_leaves(one: str, other: str) -> None:
    """Wherever it stands, but for the first word."""
    secret = f"zq{one}"
    assert secret not in redacted(f"GET /users/{secret}/{other}?x={secret}&y={other}")
    assert secret not in redacted(f'POST /graphql\n{{ user(id: "{secret}") {{ a }} }}')


def test_parts_are_told_apart() -> None:
    """Method, numbers, values; in GraphQL also words, texts, variables and comments."""
    shown = [(text, kind) for text, kind in reading("GET /users/7/orders?full=1&q=a").parts() if kind]
    assert shown == [("GET", "keyword"), ("7", "number"), ("1", "text"), ("a", "text")]
    shown = [(text, kind) for text, kind in reading(GRAPHQL).parts() if kind]
    assert shown == [
        ("POST", "keyword"), ("query", "keyword"), ("$x", "parameter"), ("7", "number"), ("$x", "parameter"),
        ('"bob"', "text"), ("# bob", "comment"),
    ]  # fmt: skip


@pytest.mark.parametrize("part", ['"', '\\"', '"""', "#", "query", "/7", "?a=", "%", "$a"])
def test_hostile_text_takes_no_time(part: str) -> None:
    """However often signs are repeated, none is looked at over and over."""
    text = ("POST /graphql\n" + part * 60_000)[:65_000]
    assert "".join(shown for shown, _ in reading(text).parts()) == text
    redacted(text)


@given(st.text() | st.text(alphabet='GET /?=&7"#$\n{}query', max_size=60))
def test_nothing_is_changed(text: str) -> None:
    """The parts are the text, whatever it is."""
    assert "".join(part for part, _ in reading(text).parts()) == text
    redacted(text)
