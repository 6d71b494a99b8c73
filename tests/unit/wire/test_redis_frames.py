"""Boundaries of commands and replies: any split of the bytes finds the same, and what is malformed is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError, ResourceError
from tidegate.wire.redis_frames import Command, Scanner, encoded, inline, number

from .redis_talking import array, bulk


def taken(data: bytes, cuts: list[int], limit: int = 10**6) -> tuple[list[bytes], int]:
    """The command at the beginning of ``data`` as it comes in pieces."""
    command = Command(limit)
    for end in [*sorted(cuts), len(data)]:
        if (found := command.take(data[:end], 0)) >= 0:
            return command.args, found
    raise AssertionError("not whole")


def scanned(data: bytes, cuts: list[int]) -> tuple[int, int]:
    """Where the first reply ends, and its leaves, as it comes in pieces."""
    scanner, at = Scanner(), 0
    for end in [*sorted(cuts), len(data)]:
        at = scanner.feed(data[:end], at)
        if scanner.done:
            return at, scanner.leaves
    raise AssertionError("not whole")


ARGS = st.lists(st.binary(max_size=20), min_size=1, max_size=5)


@given(ARGS, st.lists(st.integers(0, 200)), st.binary(max_size=9))
def test_any_split_gives_the_same_command(args: list[bytes], cuts: list[int], more: bytes) -> None:
    """A command is what was encoded, and ends where it ends."""
    data = encoded(args)
    assert taken(data + more, [cut for cut in cuts if cut < len(data)]) == (args, len(data))


LEAVES = st.one_of(
    st.binary(max_size=12).map(bulk),
    st.sampled_from([b"$-1\r\n", b"_\r\n", b"*-1\r\n", b"#t\r\n", b",1.5\r\n", b":-3\r\n", b"+OK\r\n", b"(12\r\n"]),
    st.sampled_from([b"=7\r\ntxt:abc\r\n", b"-ERR no\r\n", b"!3\r\nERR\r\n", b"*0\r\n", b"%0\r\n"]),
)
REPLIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: array(*items)),
        st.lists(inner, max_size=4).map(lambda items: array(*items, kind=b"~")),
        st.lists(inner, max_size=4).map(lambda items: array(*items, *items, kind=b"%")),
    ),
    max_leaves=12,
)


@given(REPLIES, st.lists(st.integers(0, 200)), st.binary(max_size=9))
def test_any_split_finds_the_same_end(reply: bytes, cuts: list[int], more: bytes) -> None:
    """A reply ends where it ends, whatever follows it."""
    whole = scanned(reply + more, [])
    assert whole[0] == len(reply)
    assert scanned(reply + more, [cut for cut in cuts if cut < len(reply)]) == whole


@given(st.binary(max_size=60))
def test_garbage_is_an_error_or_not_whole_yet(data: bytes) -> None:
    """Never anything else, and never a hang."""
    for feed in (lambda: Scanner().feed(data, 0), lambda: Command(100).take(b"*" + data, 0), lambda: inline(data, 0)):
        try:
            feed()
        except (AgentError, ResourceError):
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"*-1\r\n", b"*01\r\n", b"*+1\r\n", b"* 1\r\n", b"*1048577\r\n", b"*99999999999999\r\n", b"*x\r\n", b"*\r\n",
        b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$-0\r\n", b"*1\r\n$03\r\nGET\r\n", b"*1\r\n$3\r\nGETxx",
        b"*1\r\n$536870913\r\n", b"*1\r\n*1\r\n$1\r\nx\r\n", b"*" + b"1" * 40, b"*1\r\n$" + b"1" * 40, b"*1\n$1\nx\n",
        b"*1\r\n$1\r\nx\n\n",
    ],
)  # fmt: skip
def test_what_the_server_would_repair_is_refused(data: bytes) -> None:
    """Signs, zeros, spaces, wrong types and lengths, lone line feeds."""
    with pytest.raises(AgentError, match="Protocol error"):
        Command(10**6).take(data + b"\r\n" * 20, 0)


@pytest.mark.parametrize(
    ("line", "args"),
    [
        (b"PING\r\n", [b"PING"]),
        (b"  get   a\n", [b"get", b"a"]),
        (b"\r\n", []),
        (b'set a "x y\\n\\x41\\q"\r\n', [b"set", b"a", b"x y\nAq"]),
        (b"set a 'it\\'s \\n'\r\n", [b"set", b"a", b"it's \\n"]),
        (b'set a""\r\n', [b"set", b"a"]),
        (b'set a"b c"\r\n', [b"set", b"ab c"]),
        (b'x "\\x4"\r\n', [b"x", b"x4"]),
    ],
)
def test_inline_commands_are_read_as_the_server_does(line: bytes, args: list[bytes]) -> None:
    """As sdssplitargs."""
    assert inline(line + b"more", 0) == (args, len(line))


@pytest.mark.parametrize("line", [b'"a\r\n', b'"a"b\r\n', b"'a\r\n", b"a\0b\r\n", b"x" * 65536])
def test_inline_commands_that_are_none(line: bytes) -> None:
    """Unbalanced quotes, text behind a closing quote, NUL, too long."""
    with pytest.raises(AgentError, match="Protocol error"):
        inline(line, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"|1\r\n+a\r\n+b\r\n+OK\r\n", b"$?\r\n", b"*?\r\n", b"$-2\r\n", b"%-1\r\n", b"!-1\r\n", b"X\r\n", b"\r\n",
        b"$3\r\nabcde", b"*1\r\n" * 40, b"*1\r\n>1\r\n+a\r\n", b"+" + b"x" * 70000, b"$536870913\r\n",
    ],
)  # fmt: skip
def test_replies_that_are_not_understood(data: bytes) -> None:
    """Attributes, streamed strings, impossible lengths, unknown types, deep nesting, pushes inside."""
    with pytest.raises(ResourceError, match="cannot be read"):
        Scanner().feed(data, 0)


@pytest.mark.parametrize(("text", "value"), [(b"0", 0), (b"10", 10), (b"-1", -1), (b"-2", -2), (b"", -2), (b"00", -2)])
def test_numbers_have_one_spelling(text: bytes, value: int) -> None:
    """-2 stands for none."""
    assert number(text, 0, len(text)) == value
