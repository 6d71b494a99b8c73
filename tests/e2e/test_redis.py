"""Redis through a real gateway: its own clients, masks, refusals in their place, holds, kill, and ways around all that.

One server and one gateway; whatever the tests did, the log verifies in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import NoPermissionError, ResponseError

from gateway import Gateway, Upstream
from resp import Raw
from servers import Redis, ServerMissing
from tidegate.protocols.redis_clients import RECIPE

SECRET = "upstream-secret-hunter2"
POLICY = """
rules:
  - {id: connects, may: [connect], then: allow, for: 1h}
  - {id: reads-and-writes, may: [read, write], then: allow}
  - {id: no-deletes, may: [write], where: {command: [del]}, then: refuse, because: "Keys expire."}
  - id: unlinks
    may: [write]
    where: {command: [unlink]}
    then: hold
    approvers: {groups: [dba], count: 1}
    within: 1m
"""
TAGS = {"pii.email": ['"0/user:* -> email"', '"0/mail:* -> value"'], "pii.ssn": ['"0/ssn:* -> *"']}
IOREDIS = Path(os.environ.get("TIDEGATE_IDP", Path(sys.prefix) / "idp")).absolute() / "node_modules" / "ioredis"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """A server with a password."""
    with Redis(SECRET) as found:
        yield found


@pytest.fixture(scope="module")
def running(server: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before it."""
    upstream = Upstream("127.0.0.1", server.port, "0", "", SECRET, protocol="redis")
    gateway = Gateway(tmp_path_factory.mktemp("redis") / "gw", upstream, policy=POLICY, tags=TAGS)
    gateway.start().people()
    yield gateway
    assert SECRET not in gateway.output
    assert gateway.stop() == 0
    assert gateway.verify() == 0


@pytest.fixture(scope="module")
def token(running: Gateway) -> str:
    """One token for all."""
    return running.token()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def agent(request: Any, running: Gateway, token: str, server: Redis) -> Iterator[redis.Redis]:
    """redis-py, in both versions of the protocol, on fresh data."""
    server.cli("FLUSHALL")
    server.cli("HSET", "user:1", "email", "ann@mail.example", "city", "Oslo")
    server.cli("SET", "mail:1", "ann@mail.example")
    server.cli("SADD", "ssn:all", "900-12-0001", "900-12-0002")
    server.cli("SET", "mail:1", "zoe@mail.example", database=3)
    with redis.Redis(port=running.port, username="shop", password=token, protocol=request.param) as found:
        yield found


def test_values_pass(agent: redis.Redis) -> None:
    """Every type of value."""
    assert agent.set("a", b"\0\r\n\xff") and agent.get("a") == b"\0\r\n\xff"
    assert agent.incr("n") == 1 and agent.incrbyfloat("f", 1.5) == 1.5
    assert agent.rpush("l", 1, 2, 3) == 3 and agent.lrange("l", 0, -1) == [b"1", b"2", b"3"]
    assert agent.sadd("s", "x") == 1 and agent.smembers("s") == {b"x"}
    assert agent.zadd("z", {"m": 1.5}) == 1
    assert [list(pair) for pair in agent.zrange("z", 0, -1, withscores=True)] == [[b"m", 1.5]]
    assert agent.hset("h", mapping={"a": 1}) == 1 and agent.hgetall("h") == {b"a": b"1"}
    agent.xadd("st", {"f": "v"}, id="1-1")
    assert agent.xrange("st") == [(b"1-1", {b"f": b"v"})]
    assert agent.exists("a", "n") == 2 and agent.get("none") is None and agent.ttl("a") == -1
    assert sorted(agent.scan_iter("l*")) == [b"l"]
    assert agent.object("encoding", "n") in (b"int", b"embstr")


def test_large_values_pass(agent: redis.Redis) -> None:
    """A value beyond what the gateway holds streams in both directions."""
    value = os.urandom(3_000_000)
    assert agent.set("large", value) and agent.get("large") == value
    assert agent.append("large", b"x") == len(value) + 1
    with pytest.raises(NoPermissionError, match=r"limit\.message"):
        agent.set("large", value, ex=100)
    assert agent.strlen("large") == len(value) + 1


def test_masks(agent: redis.Redis) -> None:
    """By key pattern and field, in every way to read them."""
    email = agent.hget("user:1", "email")
    assert email.startswith(b"[masked:email ")
    assert agent.hgetall("user:1") == {b"email": email, b"city": b"Oslo"}
    assert agent.hmget("user:1", "city", "email") == [b"Oslo", email]
    assert agent.hvals("user:1")[0].startswith(b"[masked")
    assert agent.hscan("user:1")[1] == {b"email": email, b"city": b"Oslo"}
    assert agent.get("mail:1").startswith(b"[masked:email ") and agent.get("mail:1") == agent.getrange("mail:1", 0, -1)
    assert agent.mget("none", "mail:1")[1] == agent.get("mail:1")
    assert all(value.startswith(b"[masked:ssn]") for value in agent.smembers("ssn:all"))
    assert agent.srandmember("ssn:all").startswith(b"[masked")
    with agent.pipeline() as tx:
        tx.get("mail:1").hget("user:1", "city").set("plain", 1)
        assert tx.execute() == [agent.get("mail:1"), b"Oslo", True]


def test_a_mask_never_comes_back(agent: redis.Redis) -> None:
    """Neither short nor long."""
    for value in (agent.hget("user:1", "email"), b"x" * 3000 + agent.hget("user:1", "email")):
        with pytest.raises(NoPermissionError, match="mask is not a value"):
            agent.hset("user:1", "email", value)


@pytest.mark.parametrize(
    "words",
    [
        ("EVAL", "return redis.call('get','mail:1')", "0"),
        ("EVAL_RO", "return redis.call('get',KEYS[1])", "1", "mail:1"),
        ("FCALL", "f", "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("RENAME", "mail:1", "open"),
        ("RENAMENX", "mail:1", "open"),
        ("COPY", "mail:1", "open"),
        ("COPY", "mail:1", "mail:9", "DB", "1"),
        ("MOVE", "mail:1", "1"),
        ("RESTORE", "open", "0", "x"),
        ("MIGRATE", "10.0.0.1", "6379", "mail:1", "0", "1000"),
        ("SUNIONSTORE", "open", "ssn:all"),
        ("SMOVE", "ssn:all", "open", "900-12-0001"),
        ("SORT", "ssn:all", "STORE", "open"),
        ("SORT", "l", "BY", "nosort", "GET", "mail:*"),
        ("SISMEMBER", "ssn:all", "900-12-0001"),
        ("LMOVE", "mail:1", "open", "LEFT", "RIGHT"),
        ("BITOP", "NOT", "open", "mail:1"),
        ("PFMERGE", "open", "mail:1"),
        ("SWAPDB", "0", "1"),
        ("CONFIG", "GET", "requirepass"),
        ("CONFIG", "SET", "requirepass", ""),
        ("ACL", "LIST"),
        ("ACL", "GETUSER", "default"),
        ("ACL", "SETUSER", "default", "nopass"),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "ID", "1"),
        ("CLIENT", "REPLY", "OFF"),
        ("CLIENT", "NO-EVICT", "ON"),
        ("MONITOR",),
        ("SLOWLOG", "GET"),
        ("DEBUG", "OBJECT", "mail:1"),
        ("MODULE", "LOAD", "/tmp/x.so"),
        ("REPLICAOF", "10.0.0.1", "6379"),
        ("PSYNC", "?", "-1"),
        ("SHUTDOWN",),
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("AUTH", "default", SECRET),
        ("HELLO", "3", "AUTH", "default", SECRET),
        ("NOSUCHCOMMAND", "mail:1"),
        ("GET",),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_ways_around(agent: redis.Redis, server: Redis, words: tuple[str, ...]) -> None:
    """Each is refused, alone and in a transaction, the session goes on, and nothing of it happened."""
    before = server.cli("DBSIZE")
    agent.response_callbacks.clear()
    with pytest.raises(ResponseError) as refused:
        agent.execute_command(*words)
    assert "refused by rule" in str(refused.value) and SECRET not in str(refused.value)
    with agent.pipeline() as tx, pytest.raises(ResponseError):
        tx.execute_command("SET", "trace", "1")
        tx.execute_command(*words)
        tx.execute()
    assert agent.execute_command("PING") in (b"PONG", True)
    assert server.cli("DBSIZE") == before and server.cli("EXISTS", "trace") == "0"


def test_what_shows_of_tagged_values_is_masked(agent: redis.Redis) -> None:
    """Commands that may read them and show something else."""
    agent.response_callbacks.clear()
    shown = [
        agent.execute_command(*words.split())
        for words in (
            "DUMP mail:1", "SUBSTR mail:1 0 2", "GETRANGE mail:1 0 0", "LCS mail:1 user:none", "SINTER ssn:all",
            "SSCAN ssn:all 0", "SUNION ssn:all none", "GETEX mail:1", "HSTRLEN user:1 email", "STRLEN mail:1",
            "HRANDFIELD user:1 -5 WITHVALUES", "SORT ssn:all ALPHA", "SRANDMEMBER ssn:all 5",
        )
    ]  # fmt: skip
    assert b"ann@" not in repr(shown).encode() and b"900-12" not in repr(shown).encode()
    assert shown[8:10] == [None, None]


def test_databases(agent: redis.Redis) -> None:
    """SELECT changes what keys are called; a failed one does not; pipelined commands are judged behind it."""
    with agent.pipeline(transaction=False) as pipe:
        pipe.execute_command("SELECT", "3").get("mail:1").execute_command("SELECT", "99").get("mail:1")
        pipe.execute_command("SELECT", "0").get("mail:1")
        found = pipe.execute(raise_on_error=False)
    assert found[1] == found[3] == b"zoe@mail.example" and found[5].startswith(b"[masked")
    assert isinstance(found[2], ResponseError)


def test_a_refusal_in_a_pipeline_stands_in_its_place(agent: redis.Redis, server: Redis) -> None:
    """What surrounds it runs."""
    with agent.pipeline(transaction=False) as pipe:
        pipe.set("a", 1).delete("a").incr("a").get("a")
        found = pipe.execute(raise_on_error=False)
    assert found[0] is True and found[2:] == [2, b"2"]
    assert "Keys expire" in str(found[1]) and "code policy.refused" in str(found[1])
    assert server.cli("GET", "a") == "2"


def test_a_refused_transaction_does_nothing(agent: redis.Redis, server: Redis) -> None:
    """All or nothing, and the connection is as new."""
    with agent.pipeline() as tx, pytest.raises(ResponseError, match="Keys expire"):
        tx.set("a", 1).delete("mail:1")
        tx.execute()
    assert server.cli("EXISTS", "a") == "0"
    assert agent.set("a", 2)


def test_watched_transactions(agent: redis.Redis, server: Redis) -> None:
    """WATCH works as ever."""
    agent.set("a", 1)
    with agent.pipeline() as tx:
        tx.watch("a")
        assert tx.get("a") == b"1"
        tx.multi()
        tx.incr("a")
        assert tx.execute() == [2]
        tx.watch("a")
        server.cli("SET", "a", "9")
        tx.multi()
        tx.incr("a")
        with pytest.raises(redis.WatchError):
            tx.execute()
        tx.watch("a")
        tx.multi()
        tx.delete("a")
        with pytest.raises(ResponseError, match="Keys expire"):
            tx.execute()
    assert agent.incr("a") == 10


def test_messages(agent: redis.Redis, server: Redis) -> None:
    """Subscriptions by name and pattern; messages are operations of their own."""
    listening = agent.pubsub(ignore_subscribe_messages=True)
    listening.subscribe("news")
    listening.psubscribe("n*")
    assert heard(listening, 0) == []
    server.cli("PUBLISH", "news", "hello")
    assert sorted(heard(listening, 2)) == [b"hello", b"hello"]
    listening.ping()
    listening.unsubscribe()
    listening.punsubscribe()
    heard(listening, 0)
    assert agent.publish("news", "x") == 0
    listening.close()


def heard(listening: Any, count: int) -> list[bytes]:
    """So many messages; with none, what is there is read for a moment."""
    found = []
    end = time.monotonic() + (10 if count else 0.3)
    while time.monotonic() < end and (len(found) < count or not count):
        message = listening.get_message(timeout=0.1)
        if message is not None and message["type"].endswith("message"):
            found.append(message["data"])
    return found


def test_blocking_commands(agent: redis.Redis, server: Redis) -> None:
    """They wait, others go on, and what comes is masked."""
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(agent.blpop, ["q", "mail:q"], 20)
        time.sleep(0.1)
        server.cli("RPUSH", "mail:q", "ann@mail.example")
        key, value = waiting.result(20)
    assert key == b"mail:q" and value.startswith(b"[masked:email")
    assert agent.blpop(["q"], 0.05) is None


def test_invalidations(running: Gateway, token: str, server: Redis) -> None:
    """Client tracking in RESP3: invalidated keys come by themselves."""
    side = Raw(running.port)
    side.say("HELLO", "3", "AUTH", "shop", token)
    assert b"proto" in side.reads(b"modules")
    side.say("CLIENT", "TRACKING", "ON").reads(b"+OK\r\n")
    side.say("GET", "a").reads(b"\r\n")
    server.cli("SET", "a", "7")
    side.reads(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n")
    side.close()


def test_before_a_token(running: Gateway, token: str) -> None:
    """Nothing but AUTH, HELLO, PING and QUIT; a wrong token and a wrong name are told alike."""
    side = Raw(running.port)
    side.say("GET", "a").reads(b"-NOAUTH")
    side.say("PING").reads(b"+PONG")
    side.say("HELLO", "3").reads(b"-NOAUTH HELLO must be called")
    side.say("HELLO", "4").reads(b"-NOPROTO")
    side.send(b"AUTH shop " + token.encode() + b"\r\nGET none\r\n").reads(b"+OK\r\n$-1\r\n")
    side.say("RESET").reads(b"+RESET")
    side.say("GET", "a").reads(b"-NOAUTH")
    side.say("HELLO", "3", "AUTH", "shop", token, "SETNAME", "me").reads(b"standalone")
    side.say("GET", "none").reads(b"_\r\n")
    side.say("QUIT")
    assert side.rest() == b"+OK\r\n"
    said = []
    for words in (("shop", "nonsense"), ("nosuch", token)):
        side = Raw(running.port)
        said.append(side.say("AUTH", *words).rest())
    assert all(line.startswith((b"-WRONGPASS", b"-NOPERM")) for line in said), said


@pytest.mark.parametrize(
    "garbage",
    [
        b"*-1\r\n", b"*1\r\n$-1\r\n", b"*1048577\r\n", b"*1\r\n$99999999999\r\n", b"*1\r\n$01\r\na\r\n", b'GET "a\r\n',
        b"GET a\0b\r\n", b"*1\r\n*1\r\n", b"x" * 70000,
    ],
)  # fmt: skip
def test_garbage_ends_the_session(running: Gateway, token: str, garbage: bytes) -> None:
    """Before the token and behind it; the gateway says why and serves others."""
    for greeting in ([], ["AUTH", "shop", token]):
        side = Raw(running.port)
        if greeting:
            side.say(*greeting).reads(b"+OK\r\n")
        side.send(garbage)
        with contextlib.suppress(ConnectionResetError):
            assert side.rest().startswith(b"-ERR ")
        side.close()


def test_held_until_approved(running: Gateway, token: str, server: Redis) -> None:
    """People see the command and how many keys it is about; a yes lets it run, also a whole transaction."""
    server.cli("MSET", "h1", "1", "h2", "2")
    with redis.Redis(port=running.port, username="shop", password=token) as agent, ThreadPoolExecutor() as pool:
        waiting = pool.submit(agent.unlink, "h1", "h2", "h3")
        asked = question(running)
        assert asked["statement"] == "UNLINK h1 h2 h3"
        seen = running.call("GET", f"approvals/{asked['id']}/impact", "bob")
        assert seen["rows"] == 2, seen
        running.call("POST", f"approvals/{asked['id']}/approve", "bob")
        assert waiting.result(20) == 2
        server.cli("MSET", "h1", "1", "h2", "2")
        tx = agent.pipeline()
        tx.get("h1").unlink("h2")
        held = pool.submit(tx.execute)
        asked = question(running)
        assert "GET h1" in str(asked) and "UNLINK h2" in str(asked)
        running.call("POST", f"approvals/{asked['id']}/refuse", "bob", reason="not on a Friday")
        with pytest.raises(ResponseError, match="not on a Friday"):
            held.result(20)
        assert agent.get("h2") == b"2"


def question(gateway: Gateway) -> dict[str, Any]:
    """The one waiting request, as the approver lists it."""
    for _ in range(500):
        if waiting := gateway.call("GET", "approvals", "bob")["items"]:
            return dict(gateway.call("GET", f"approvals/{waiting[0]['id']}", "bob"))
        time.sleep(0.02)
    raise AssertionError("nothing is waiting")


def test_kill(running: Gateway, server: Redis) -> None:
    """A session that blocks is cut, and the server's client is gone."""
    minted = running.minted(reason="to be killed")
    agent = redis.Redis(port=running.port, username="shop", password=minted["token"], retry=None)
    agent.ping()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(agent.blpop, ["never"], 0)
        until(lambda: "cmd=blpop" in server.cli("CLIENT", "LIST"))
        client = next(line for line in server.cli("CLIENT", "LIST").splitlines() if "cmd=blpop" in line)
        sid = client.partition(" name=tidegate:")[2].split()[0]
        running.call("POST", "kill", "alice", what="session", name=sid)
        with pytest.raises((Lost, ResponseError)):
            waiting.result(20)
    until(lambda: sid not in server.cli("CLIENT", "LIST"))


def until(true: Callable[[], bool]) -> None:
    """Wait for a fact, at most ten seconds."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_redis_py_asyncio(running: Gateway, token: str) -> None:
    """Pipelines, messages and blocking commands at once."""

    async def play(protocol: int) -> None:
        agent = redis.asyncio.Redis(port=running.port, username="shop", password=token, protocol=protocol)
        async with agent, agent.pubsub(ignore_subscribe_messages=True) as listening:
            await listening.subscribe("async")
            await asyncio.gather(*(agent.set(f"k{n}", n) for n in range(20)))
            assert await agent.mget([f"k{n}" for n in range(20)]) == [b"%d" % n for n in range(20)]
            popped = asyncio.create_task(agent.blpop(["aq"], 10))
            async with agent.pipeline() as tx:
                assert await tx.set("x", 1).incr("x").execute() == [True, 2]
            await agent.rpush("aq", "x")
            assert list(await popped) == [b"aq", b"x"]
            await agent.publish("async", "hello")
            async with asyncio.timeout(10):
                while (message := await listening.get_message(timeout=1)) is None:
                    pass
            assert message["data"] == b"hello"

    for protocol in (2, 3):
        asyncio.run(play(protocol))


@pytest.mark.parametrize("version", ["-2", "-3"])
def test_redis_cli(running: Gateway, token: str, version: str) -> None:
    """Its replies, its errors, its transactions, its own commands."""
    script = "set a 1\nincr a\nmulti\nget a\nhget user:none email\nexec\ndel a\nselect 3\nping\n"
    done = cli(running, token, version, input=script)
    lines = done.stdout.splitlines()
    assert lines[:3] == ["OK", "2", "OK"] and lines[3:5] == ["QUEUED", "QUEUED"]
    assert any("NOPERM refused by rule" in line for line in lines) and lines[-2:] == ["OK", "PONG"]
    assert "upstream" not in done.stdout + done.stderr


def cli(gateway: Gateway, token: str, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
    """redis-cli, through the gateway."""
    return subprocess.run(
        ["/usr/bin/redis-cli", "-p", str(gateway.port), "--user", "shop", *words],
        input=input,
        capture_output=True,
        text=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": token},
        check=True,
    )


def test_redis_benchmark(running: Gateway, token: str) -> None:
    """It asks for the server's configuration first, and goes on without it."""
    done = subprocess.run(
        [
            *("/usr/bin/redis-benchmark", "-p", str(running.port), "--user", "shop", "-a", token, "-t", "get,set"),
            *("-n", "4000", "-c", "4", "-P", "16", "-q"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and "requests per second" in done.stdout, done


IOREDIS_PLAY = """
const Redis = require(process.argv[2]);
const at = {port: +process.argv[3], username: "shop", password: process.env.TOKEN, maxRetriesPerRequest: 1};
const redis = new Redis(at), listening = new Redis(at);
(async () => {
  await Promise.all([redis, listening].map(each => new Promise(done => each.once("ready", done))));
  await redis.set("io", "1");
  const tx = await redis.multi().incr("io").hgetall("user:1").exec();
  const heard = new Promise(done => listening.on("message", (_, said) => done(said)));
  await listening.subscribe("io");
  await redis.publish("io", "hello");
  const pipe = await redis.pipeline().get("io").del("io").get("mail:1").exec();
  const email = tx[1][1].email;
  console.log(JSON.stringify([tx[0], await heard, pipe[0], String(pipe[1][0]), pipe[2], email, await redis.quit()]));
  listening.disconnect();
})();
"""


def test_ioredis(running: Gateway, token: str, server: Redis) -> None:
    """Node's client."""
    if not IOREDIS.exists():
        raise ServerMissing("ioredis is not installed: make test installs it")
    server.cli("HSET", "user:1", "email", "ann@mail.example")
    server.cli("SET", "mail:1", "ann@mail.example")
    done = subprocess.run(
        ["node", "-e", IOREDIS_PLAY, "x", str(IOREDIS), str(running.port)],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"], "TOKEN": token},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '[null,2],"hello",[null,"2"],"ReplyError: NOPERM refused' in done.stdout
    assert done.stdout.count("[masked:email") == 2 and '"OK"]' in done.stdout and "ann@" not in done.stdout


def test_tls_on_both_sides(tmp_path: Path) -> None:
    """TLS from the first byte, to the gateway and to the server, which each prove who they are."""
    with Redis(SECRET, tls=True) as server:
        assert server.tls is not None
        upstream = Upstream(
            "127.0.0.1", server.port, "", "default", SECRET, "verify-full", str(server.tls.authority), protocol="redis"
        )
        gateway = Gateway(tmp_path / "gw", upstream, policy=POLICY)
        gateway.start().people()
        token = gateway.token()
        for protocol in (2, 3):
            with redis.Redis(
                host="localhost", port=gateway.port, username="shop", password=token, protocol=protocol, ssl=True,
                ssl_ca_certs=str(gateway.data / "tls" / "server.crt"), ssl_check_hostname=True,
            ) as agent:  # fmt: skip
                assert agent.set("a", 1) and agent.get("a") == b"1"
        assert recipe(gateway, token, tmp_path / "a place").stdout == "1\n"
        assert gateway.stop() == 0 and gateway.verify() == 0


def recipe(gateway: Gateway, token: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """What `tidegate connect` starts redis-cli with, asked for a value."""
    directory.mkdir()
    (directory / "token").write_text(token + "\n")
    ca = directory / "ca.pem"
    ca.write_bytes((gateway.data / "tls" / "server.crt").read_bytes())
    places = {"host": "localhost", "port": gateway.port, "resource": "shop", "directory": directory, "ca": ca}
    words = [re.sub(r"{{(.*?)}}", lambda place: str(places[place[1]]), word) for word in RECIPE.clients[0].argv]
    debian = {**os.environ, "PATH": "/usr/bin:/bin"}  # a wheel's redis-cli, which may come first, knows no TLS
    return subprocess.run([*words, "GET", "a"], capture_output=True, text=True, timeout=30, check=True, env=debian)
