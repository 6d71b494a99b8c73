"""The shipped table of commands, against a real server, and where keys stand, against what the server itself says."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from servers import Redis
from tidegate.operations.redis_table import Command, Unclear, fits, keys, named, table

ROOT = Path(__file__).parents[3]
WORDS = [
    b"k", b"1", b"2", b"0", b"STREAMS", b"streams", b"COUNT", b"STORE", b"KEYS", b"WITHSCORES", b"*", b"$", b"-1", b"",
    b"WEIGHTS", b"GET", b"LIMIT", b"BLOCK", b"GROUP", b"g", b"LEFT", b"MIN", b"AND", b"7", b"03",
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[redis.Redis]:
    """A real server, asked past any client's own ideas."""
    with Redis() as started:
        asked = redis.Redis(port=started.port, protocol=2)
        asked.response_callbacks.clear()
        yield asked


def test_every_command_of_the_server_is_in_the_table(server: redis.Redis) -> None:
    """And what only reads there is not said to do less than the server says."""
    tool = runpy.run_path(str(ROOT / "tools" / "redis_commands.py"))
    _, commands = tool["asked"](f"127.0.0.1:{server.connection_pool.connection_kwargs['port']}")
    known = table()
    assert set(commands) <= set(known)
    for name, said in commands.items():
        assert "readonly" in said["flags"] or "readonly" not in known[name].flags, name
        assert abs(known[name].arity) <= abs(said["arity"]), name


def test_the_file_is_as_its_tool_writes_it() -> None:
    """So that nobody edits it by hand without being seen."""
    tool = runpy.run_path(str(ROOT / "tools" / "redis_commands.py"))
    written = tool["TABLE"].read_text()
    said = json.loads(written)
    assert tool["text"](said["made from"], said["commands"]) == written


@settings(max_examples=300)
@given(name=st.sampled_from(sorted(table())), words=st.lists(st.sampled_from(WORDS), max_size=9))
def test_keys_are_those_that_the_server_finds(server: redis.Redis, name: str, words: list[bytes]) -> None:
    """For whatever arguments: the same keys, or it is said that they cannot be told."""
    args = [*(part.encode() for part in name.split(" ")), *words]
    command = named(args)
    if command is None or not fits(command, len(args)) or name in ("sort", "sort_ro", "migrate"):
        return
    try:
        found = [key.name for key in keys(command, args)]
    except Unclear:
        return
    try:
        said = server.execute_command("COMMAND", "GETKEYS", *args)
    except redis.ResponseError as error:
        known = ("key", "argument", "invalid command")
        assert not found or any(word in str(error).lower() for word in known), (args, str(error))
        return
    assert sorted(found) == sorted(said), args


def test_what_cannot_be_told_is_said() -> None:
    """Counts that are none, keys that are not there, words that could be two things."""
    for line in (
        "eval s 1", "eval s -1 k", "eval s 01 k", "eval s 99999999999 k", "zunion 1e3 k", "zunion 2 k",
        "xread streams streams 0 0", "xread streams a b 0", "lmpop x k left",
    ):  # fmt: skip
        args = line.encode().split()
        command = named(args)
        assert isinstance(command, Command)
        with pytest.raises(Unclear):
            keys(command, args)


def test_names() -> None:
    """In any case; subcommands by both words; nothing else."""
    assert named([b"GeT", b"k"]) is table()["get"]
    assert named([b"CONFIG", b"get", b"x"]) is table()["config get"]
    for args in ([b"config", b"nothing"], [b"config get", b"x"], [b"g\xffet"], [b""], [], [b"x" * 100]):
        assert named(args) is None
