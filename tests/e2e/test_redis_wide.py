"""Redis under a policy that allows everything: masks, detectors and what no rule may allow still hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import ResponseError

from gateway import Gateway, Upstream
from servers import Redis

SECRET = "upstream-secret-hunter2"
EMAIL = "ann@mail.example"
POLICY = """
rules:
  - {id: connects, may: [connect], then: allow, for: 1h}
  - {id: everything, may: [read, write, define, execute, administer, unknown], then: allow}
"""
SCRIPT = (
    "return {redis.call('get', 'mail:1'), redis.call('hgetall', 'user:1'), redis.error_reply('ERR ann@mail.example')}"
)
MORE = "\n    detect: [pii]\n    options: {functions: [f]}"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """A server with a password."""
    with Redis(SECRET, ["enable-debug-command yes"]) as found:
        yield found


@pytest.fixture(scope="module")
def running(server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before it, that looks for personal data in what has no tag."""
    upstream = Upstream("127.0.0.1", server.port, "0", "", SECRET, protocol="redis", more=MORE)
    gateway = Gateway(tmp_path_factory.mktemp("wide") / "gw", upstream, policy=POLICY)
    gateway.tags = {"pii.email": ['"0/user:* -> email"', '"0/mail:* -> value"', '"channel/mail -> value"']}
    gateway.start().people()
    yield gateway
    assert SECRET not in gateway.output
    assert gateway.stop() == 0
    assert gateway.verify() == 0


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def agent(request: Any, running: Gateway, server: Redis) -> Iterator[redis.Redis]:
    """redis-py, which gives replies as they come, on fresh data."""
    server.cli("FLUSHALL")
    server.cli("HSET", "user:1", "email", EMAIL, "city", "Oslo")
    server.cli("SET", "mail:1", EMAIL)
    server.cli("SET", "open", f"write to {EMAIL}")
    with redis.Redis(port=running.port, username="shop", password=running.token(), protocol=request.param) as found:
        found.response_callbacks.clear()
        yield found


def test_scripts_show_nothing(agent: redis.Redis) -> None:
    """Nobody can trace what a script gives, so all of it is masked, its errors as well."""
    for words in (("EVAL", SCRIPT, "0"), ("EVAL", "return redis.status_reply(redis.call('get', 'mail:1'))", "0")):
        assert EMAIL not in str(agent.execute_command(*words))
    with pytest.raises(ResponseError) as error:
        agent.execute_command("EVAL", "return redis.error_reply('ERR ' .. redis.call('get', 'mail:1'))", "0")
    assert EMAIL not in str(error.value)


@pytest.mark.parametrize(
    "words",
    ["RENAME mail:1 x", "COPY mail:1 x", "MOVE mail:1 5", "SWAPDB 0 5", "SORT mail:1 STORE x", "SUNIONSTORE x mail:1",
     "BITOP OR x mail:1", "LMOVE mail:1 x LEFT LEFT"],
)  # fmt: skip
def test_tagged_values_are_not_moved(agent: redis.Redis, words: str) -> None:
    """To where they would be readable."""
    with pytest.raises(ResponseError, match="refused by rule"):
        agent.execute_command(*words.split())
    assert EMAIL not in str(agent.execute_command("GET", "x"))


@pytest.mark.parametrize(
    "words",
    ["MONITOR", "CLIENT REPLY OFF", "CLIENT REPLY SKIP", "PSYNC ? -1", "SYNC", f"AUTH {SECRET}", "REPLCONF x y"],
)
def test_never(agent: redis.Redis, words: str) -> None:
    """Under any rule; the connection goes on."""
    with pytest.raises(ResponseError, match="refused"):
        agent.execute_command(*words.split())
    assert agent.execute_command("ECHO", "x") == b"x"


@pytest.mark.parametrize(
    "words",
    ["CONFIG GET requirepass", "CONFIG GET *", "ACL LIST", "ACL GETUSER default", "ACL LOG", "CLIENT LIST",
     "INFO everything", "CLIENT INFO", "SLOWLOG GET", "DEBUG OBJECT mail:1", "MEMORY DOCTOR", "LATENCY DOCTOR",
     "COMMAND DOCS get",
     "DEBUG PROTOCOL verbatim", "DEBUG PROTOCOL string", "DEBUG PROTOCOL map", "DEBUG PROTOCOL set",
     "DEBUG PROTOCOL double", "DEBUG PROTOCOL bignum", "DEBUG PROTOCOL null", "OBJECT HELP", "DUMP mail:1"],
)  # fmt: skip
def test_whatever_is_answered(agent: redis.Redis, words: str) -> None:
    """Neither the server's secret nor a tagged value is in it, and the connection is in step."""
    try:
        said = str(agent.execute_command(*words.split()))
    except ResponseError as error:
        said = str(error)
    assert SECRET not in said and EMAIL not in said
    assert agent.execute_command("ECHO", "x") == b"x"


def test_detectors_look_at_what_has_no_tag(agent: redis.Redis, server: Redis) -> None:
    """In values, lists, hashes, transactions and messages."""
    assert (
        agent.execute_command("GET", "open").startswith(b"write to [") and agent.execute_command("GET", "none") is None
    )
    agent.execute_command("RPUSH", "list", f"a {EMAIL}", "b")
    found = agent.execute_command("LRANGE", "list", "0", "-1")
    assert EMAIL.encode() not in found[0] and found[1] == b"b"
    with agent.pipeline() as tx:
        tx.execute_command("GET", "open")
        assert EMAIL.encode() not in tx.execute()[0]
    listening = agent.pubsub(ignore_subscribe_messages=True)
    listening.subscribe("mail", "other")
    heard = []
    end = time.monotonic() + 10
    while len(heard) < 3 and time.monotonic() < end:
        if not heard:
            for channel, text in (("mail", "secret"), ("other", "clear"), ("other", f"to {EMAIL}")):
                server.cli("PUBLISH", channel, text)
        message = listening.get_message(timeout=0.2)
        heard += [message["data"]] if message else []
    assert heard[0].startswith(b"[masked:email") and heard[1] == b"clear"
    assert heard[2].startswith(b"to [") and EMAIL.encode() not in heard[2]
    listening.close()


def test_functions_that_are_named_may_run(agent: redis.Redis) -> None:
    """They are calls, and what they give is masked."""
    agent.execute_command(
        "FUNCTION",
        "LOAD",
        "REPLACE",
        "#!lua name=l\nredis.register_function('f', function() return redis.call('get','mail:1') end)",
    )
    assert EMAIL not in str(agent.execute_command("FCALL", "f", "0"))
