"""Conversations: order, transactions, subscriptions, masks, what is never forwarded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playbook import Watcher, requests
from tidegate.errors import AgentError, ResourceError
from tidegate.model.operation import STREAMED, Request, Verb
from tidegate.model.verdict import Refuse
from tidegate.wire.redis_frames import Command
from tidegate.wire.redis_requests import PENDING

from .redis_talking import NO, OK, REFUSED, SAID, Masker, array, bulk, command, play, wire

PING = command("PING")
GET, SET, DEL = command("GET", "a"), command("SET", "a", "1"), command("DEL", "a")
MULTI, EXEC, DISCARD = command("MULTI"), command("EXEC"), command("DISCARD")
UNWATCH, WATCH = command("UNWATCH"), command("WATCH", "a")
QUEUED = b"+QUEUED\r\n"


def test_a_pipeline_is_judged_one_by_one_and_stays_in_order() -> None:
    """Each command is a request; a refusal stands in its place."""
    side = play().agent(GET + DEL + SET)
    side.asks("GET a").operation("get", Verb.READ).allowed().resource_sees(GET)
    side.resource(bulk("x")).agent_sees(bulk("x"))
    side.asks("DEL a").operation("del", Verb.WRITE).refused(NO).agent_sees(REFUSED)
    side.asks("SET a 1").allowed().resource_sees(SET).resource(OK).agent_sees(OK).nothing()
    side.outcomes(("GET a", "ok", ""), ("SET a 1", "ok", ""))


def test_untouched_replies_are_the_very_bytes() -> None:
    """No copy is made of what passes."""
    side, results = wire(), Watcher()
    for request in requests(side, GET + GET):
        results.open.update(request.operations)
        side.forward(request)
    data = bulk("x") + bulk("y")
    assert side.responses(data, results) is data
    assert side.pending == 0 and results.counted == 2


def test_an_inline_command_is_forwarded_in_the_canonical_form() -> None:
    """So that nobody can read it in two ways."""
    play().agent(b"get 'a'\r\n").asks("GET a").allowed().resource_sees(command("get", "a"))


def test_a_long_command_has_its_arguments_as_parameters() -> None:
    """The text is for people, the parameters are the evidence."""
    raw = command("SET", "a", "x" * 2000)
    side = wire()
    (request,) = requests(side, raw)
    assert request.operations[0].parameters == raw
    assert len(request.operations[0].facts.text) < 1000


@pytest.mark.parametrize(
    "words",
    [("MONITOR",), ("CLIENT", "REPLY", "OFF"), ("AUTH", "a", "b"), ("HELLO", "3", "AUTH", "a", "b"), ("SYNC",)],
)
def test_what_no_rule_may_allow_is_a_ping_upstream(words: tuple[str, ...]) -> None:
    """It is in evidence as unknown; even if a rule allows that, the upstream hears nothing of it."""
    side = play().agent(command(*words) + GET)
    request = side.request()
    assert request.operations[0].facts.verb is Verb.UNKNOWN
    side.results.open.update(request.operations)
    assert side.wire.forward(request) == PING
    side.resource(b"+PONG\r\n")
    said = side.take_agent()
    assert said.startswith(b"-NOPERM refused by rule") and b"wire.never" in said
    assert side.results.outcomes[-1][1:] == ("refused", "wire.never")
    side.asks("GET a").allowed().resource(bulk("x")).agent_sees(bulk("x"))


@pytest.mark.parametrize(
    "raw",
    [
        command("AUTH", "shop", "my-token"),
        command("AUTH", "my-token"),
        command("HELLO", "3", "SETNAME", "x", "auth", "shop", "my-token"),
        b"auth shop my-token\r\n",
        command("AUTH", "my-token", "x" * 9000)[:6000],
        MULTI + command("AUTH", "my-token"),
    ],
)
def test_credentials_are_not_in_evidence(raw: bytes) -> None:
    """Neither in the recording nor in the text."""
    for request in requests(wire(), raw):
        assert b"my-token" not in request.raw
        for operation in request.operations:
            assert "my-token" not in operation.facts.text and b"my-token" not in operation.parameters
            assert operation.facts.verb is Verb.UNKNOWN


def test_so_many_commands_may_be_unanswered() -> None:
    """A server reads on while one of them blocks; the gateway does not."""
    side, results = wire(10**6), Watcher()
    data = command("BLPOP", "q", "0") + PING * (PENDING + 5)
    for request in requests(side, data):
        results.open.update(request.operations)
        side.forward(request)
    assert side.pending == PENDING and side.waiting
    side.responses(b"*-1\r\n", results)
    assert side.request() is not None and not side.waiting


# transactions


def test_a_transaction_is_one_request() -> None:
    """MULTI and what follows is kept; EXEC carries it all, and only its own reply passes."""
    side = play().agent(MULTI + SET + GET + EXEC)
    for answer in (OK, QUEUED, QUEUED):
        assert side.request().own == answer
    side.asks("SET a 1", "GET a").allowed().resource_sees(MULTI + SET + GET + EXEC)
    side.resource(OK + QUEUED + QUEUED + array(OK, bulk("1"))).agent_sees(array(OK, bulk("1")))
    side.outcomes(("SET a 1", "ok", ""), ("GET a", "ok", ""))
    assert side.wire.pending == 0


def test_a_refused_transaction_has_no_effect() -> None:
    """Nothing of it was forwarded, and the upstream forgets what it watched."""
    side = play().agent(WATCH).asks("WATCH a").allowed().resource(OK)
    side.take_agent(), side.take_resource()
    side.agent(MULTI + DEL + EXEC)
    assert (side.request().own, side.request().own) == (OK, QUEUED)
    side.asks("DEL a").refused(NO).agent_sees(b"-EXECABORT " + SAID).resource_sees(UNWATCH)
    assert side.wire.pending == 1
    side.agent(GET).asks("GET a").allowed().resource(OK + bulk("x")).agent_sees(bulk("x"))


def test_a_transaction_behind_a_pending_command_is_answered_in_its_place() -> None:
    """The gateway's own answers wait for the upstream's."""
    side = play().agent(GET).asks("GET a").allowed().agent(MULTI + SET + EXEC)
    for _ in range(2):
        request = side.request()
        assert request.own is None and not request.operations
        assert side.wire.forward(request) == b""
    side.asks("SET a 1").allowed().agent_sees(b"")
    side.resource(bulk("x")).agent_sees(bulk("x") + OK + QUEUED)
    side.resource(OK + QUEUED + array(OK)).agent_sees(array(OK))


def test_discard_and_its_errors() -> None:
    """As the server: without MULTI, nested, and with a watch that the upstream must forget."""
    side = play().agent(DISCARD + EXEC + MULTI + MULTI + SET + DISCARD)
    answers = [side.request().own for _ in range(6)]
    assert answers == [
        b"-ERR DISCARD without MULTI\r\n", b"-ERR EXEC without MULTI\r\n", OK,
        b"-ERR MULTI calls can not be nested\r\n", QUEUED, OK,
    ]  # fmt: skip
    side.agent(WATCH).asks("WATCH a").allowed().resource(OK)
    side.take_agent(), side.take_resource()
    side.agent(MULTI + DISCARD)
    assert side.request().own == OK
    request = side.request()
    assert request.own is None and side.wire.forward(request) == UNWATCH
    side.resource(OK).agent_sees(OK)


@pytest.mark.parametrize(
    "words",
    [("NOSUCH",), ("GET",), ("SELECT", "1"), ("SUBSCRIBE", "c"), ("WATCH", "a"), ("HELLO", "3"), ("MONITOR",)],
)
def test_what_does_not_fit_a_transaction_aborts_it(words: tuple[str, ...]) -> None:
    """Unknown commands and wrong numbers of arguments as the server does; others, because they change what follows."""
    side = play().agent(MULTI + command(*words) + GET + EXEC)
    assert side.request().own == OK
    refused = side.request().own
    assert refused is not None and refused.startswith(b"-ERR ")
    assert side.request().own == QUEUED
    assert side.request().own == b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    side.nothing()


def test_the_servers_own_no_to_a_transaction() -> None:
    """Null when a watched key has changed; an error when a command could not be queued."""
    for reply, status in ((b"*-1\r\n", "skipped"), (b"_\r\n", "skipped"), (b"-EXECABORT no\r\n", "error")):
        side = play().agent(MULTI + SET + GET + EXEC)
        for _ in range(3):
            side.request()
        side.asks("SET a 1", "GET a").allowed().resource(OK + QUEUED + QUEUED + reply).agent_sees(reply)
        assert [outcome[1] for outcome in side.results.outcomes] == [status] * 2
        assert side.wire.pending == 0
        side.agent(GET).asks("GET a").allowed()


def test_a_failed_command_inside_a_transaction() -> None:
    """Each has its own outcome."""
    side = play().agent(MULTI + SET + GET + EXEC)
    for _ in range(3):
        side.request()
    reply = array(OK, b"-WRONGTYPE Operation\r\n")
    side.asks("SET a 1", "GET a").allowed().resource(OK + QUEUED + QUEUED + reply).agent_sees(reply)
    side.outcomes(("SET a 1", "ok", ""), ("GET a", "error", "WRONGTYPE"))


def test_a_transaction_that_answers_something_else_ends_the_session() -> None:
    """More or fewer replies than commands."""
    side = play().agent(MULTI + SET + EXEC)
    side.request(), side.request()
    side.asks("SET a 1").allowed()
    with pytest.raises(ResourceError, match="transaction"):
        side.resource(OK + QUEUED + array(OK, OK))


def test_a_transaction_has_a_limit() -> None:
    """Bytes that are kept."""
    side = play(limit=250).agent(MULTI + command("SET", "a", "x" * 90) * 3)
    assert [side.request().own for _ in range(3)] == [OK, QUEUED, QUEUED]
    last = side.request().own
    assert last is not None and b"limit.message" in last


# the connection's state


def test_commands_behind_select_wait_for_its_answer() -> None:
    """What they are about depends on it."""
    side = play().agent(command("SELECT", "3") + GET).asks("SELECT 3").allowed().nothing()
    assert side.wire.waiting
    side.resource(OK)
    request = side.request()
    assert request.operations[0].facts.reads == ("3/a",) and not side.wire.waiting


def test_a_failed_select_changes_nothing() -> None:
    """Only what the server says yes to counts."""
    side = play().agent(command("SELECT", "3") + GET).asks("SELECT 3").allowed().nothing()
    side.resource(b"-ERR DB index is out of range\r\n")
    assert side.request().operations[0].facts.reads == ("0/a",)


def test_quit_is_answered_when_all_else_is() -> None:
    """And then the wire is over."""
    side = play().agent(GET + command("QUIT")).asks("GET a").allowed().nothing()
    assert side.wire.waiting and not side.wire.over
    side.resource(bulk("x"))
    assert side.request().own == OK and side.wire.over


def test_reset_hands_the_connection_over() -> None:
    """With what follows it."""
    side = play().agent(command("RESET") + GET)
    request = side.request()
    assert request.farewell and request.raw == b"" and side.wire.rest == GET


@pytest.mark.parametrize("protocol", [2, 3])
def test_subscriptions(protocol: int) -> None:
    """Confirmations answer the command, messages are operations of their own, in both versions."""
    kind = b"*" if protocol == 2 else b">"

    def said(*parts: bytes) -> bytes:
        return array(*parts, kind=kind)

    side = play(Masker({"channel/news.value": "[masked]"}), protocol=protocol)
    side.agent(command("SUBSCRIBE", "news", "b")).asks("SUBSCRIBE news b").allowed()
    first, second = said(bulk("subscribe"), bulk("news"), b":1\r\n"), said(bulk("subscribe"), bulk("b"), b":2\r\n")
    side.resource(first).agent_sees(first)
    assert side.wire.pending == 1
    message = said(bulk("message"), bulk("news"), bulk("secret"))
    side.resource(message + second).agent_sees(said(bulk("message"), bulk("news"), bulk("[masked]")) + second)
    assert side.results.arrivals == ["message on news"] and side.wire.pending == 0
    other = said(bulk("message"), bulk("b"), bulk("clear"))
    side.resource(other).agent_sees(other)
    side.results.passing = False
    side.resource(other).agent_sees(b"")
    side.agent(command("UNSUBSCRIBE")).asks("UNSUBSCRIBE").allowed()
    for channel, left in ((b"b", 1), (b"news", 0)):
        gone = said(bulk("unsubscribe"), bulk(channel), b":%d\r\n" % left)
        side.resource(gone).agent_sees(gone)
    assert side.wire.pending == 0
    side.agent(GET).asks("GET a").allowed().resource(bulk("x")).agent_sees(bulk("x"))


def test_a_ping_among_subscriptions_of_resp2() -> None:
    """Its reply looks like a message and is none."""
    side = play().agent(command("PSUBSCRIBE", "n*")).asks("PSUBSCRIBE n*").allowed()
    side.resource(array(bulk("psubscribe"), bulk("n*"), b":1\r\n"))
    side.take_agent()
    pong = array(bulk("pong"), bulk(""))
    side.agent(PING).asks("PING").allowed().resource(pong).agent_sees(pong)
    message = array(bulk("pmessage"), bulk("n*"), bulk("news"), bulk("x"))
    side.resource(message).agent_sees(message)
    assert side.wire.pending == 0


def test_a_reply_that_looks_like_a_message_is_none_without_subscriptions() -> None:
    """A list may hold anything."""
    reply = array(bulk("message"), bulk("news"), bulk("x"))
    side = play().agent(command("LRANGE", "l", "0", "-1")).asks("LRANGE l 0 -1").allowed()
    side.resource(reply).agent_sees(reply)
    assert side.results.arrivals == []


def test_invalidated_keys_are_operations_of_their_own() -> None:
    """Client tracking in RESP3."""
    side = play(protocol=3)
    some = array(bulk("invalidate"), array(bulk("a"), bulk("b")), kind=b">")
    every = array(bulk("invalidate"), b"_\r\n", kind=b">")
    side.resource(some + every).agent_sees(some + every)
    assert side.results.arrivals == ["invalidate 2 keys", "invalidate every key"]
    with pytest.raises(ResourceError, match="unknown kind"):
        side.resource(array(bulk("gossip"), bulk("x"), kind=b">"))


# replies


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"-MOVED 3999 10.0.0.7:6381\r\n", b"resource.cluster"),
        (b"-ASK 3999 10.0.0.7:6381\r\n", b"resource.cluster"),
        (b"-NOPERM User root has no permissions\r\n", b"resource.rights"),
    ],
)
def test_errors_that_never_pass(line: bytes, shown: bytes) -> None:
    """They name addresses or the resource's own login."""
    side = play().agent(GET).asks("GET a").allowed().resource(line)
    said = side.take_agent()
    assert shown in said and b"10.0.0.7" not in said and b"root" not in said


def test_error_texts_are_reduced_where_they_could_show_a_value() -> None:
    """The code stays."""
    for kind, line in (("-", b"-ERR no secret\r\n"), ("!", b"!13\r\nERR no secret\r\n")):
        side = play(Watcher(concealing=True)).agent(GET).asks("GET a").allowed().resource(line)
        said = side.take_agent()
        assert said.startswith(b"-ERR the text is withheld") and b"secret" not in said, kind
        side.outcomes(("GET a", "error", "ERR"))


def test_a_limit_of_rows() -> None:
    """What is too much is an error in its place; what only shows when some of it has passed ends the session."""
    many = array(*[bulk("x")] * 5)
    side = play(Watcher(most=3)).agent(command("LRANGE", "l", "0", "-1")).asks("LRANGE l 0 -1").allowed()
    side.resource(many)
    assert b"limit.rows" in side.take_agent()
    side = play(Watcher(most=3)).agent(command("SCAN", "0")).asks("SCAN 0").allowed()
    with pytest.raises(ResourceError, match="more values"):
        side.resource(array(bulk("0"), many)[:-5])


def test_a_large_reply_passes_as_it_comes() -> None:
    """In constant memory: each piece at once."""
    side = play(limit=64).agent(GET).asks("GET a").allowed()
    data = bulk("x" * 100_000)
    for at in range(0, len(data), 1000):
        side.resource(data[at : at + 1000])
        assert side.wire.partial is (at + 1000 < len(data))
    side.agent_sees(data)


def test_a_masked_reply_that_is_too_large_is_an_error_in_its_place() -> None:
    """The stream stays in step."""
    side = play(Masker(concealing=True), limit=64).agent(GET + GET).asks("GET a").allowed().asks("GET a").allowed()
    data = bulk("x" * 100_000) + bulk("y")
    for at in range(0, len(data), 1000):
        side.resource(data[at : at + 1000])
    said = side.take_agent()
    assert b"limit.message" in said and said.endswith(bulk("y"))


def test_what_nothing_asked_for_ends_the_session() -> None:
    """And so does a push of an unknown kind."""
    with pytest.raises(ResourceError, match="nothing asked"):
        play().resource(OK)


# what is too large to be held


def test_a_large_value_is_judged_by_what_precedes_it() -> None:
    """It passes as it comes, under the permit of its beginning."""
    raw = command("SET", "a", "x" * 9000)
    side = play().agent(raw[:100] + raw[100:5000])
    request = side.request()
    (operation,) = request.operations
    assert operation.parameters == STREAMED and operation.facts.writes == ("0/a",)
    assert operation.facts.verb is Verb.WRITE
    side.results.open.update(request.operations)
    sent = side.wire.forward(request)
    side.agent(raw[5000:] + GET)
    while (more := side.request()).continues:
        sent += side.wire.forward(more)
    assert sent == raw and more.operations[0].facts.text == "GET a"


def test_a_large_value_ends_where_it_should() -> None:
    """So that both sides agree where the next command begins."""
    raw = command("SET", "a", "x" * 9000)
    for cut in (1, 2, 3):
        side = play().agent(raw[:-cut]).asks("SET a ...").allowed()
        while (more := side.wire.request()) is not None:
            side.wire.forward(more)
        side.agent(b"y" * cut)
        with pytest.raises(AgentError, match="does not end"):
            side.wire.request()


@pytest.mark.parametrize(
    "raw",
    [
        command("SET", "a", "x" * 9000, "EX", "10"),
        command("GET", "k" * 9000),
        command("MSET", "a", "1", "b" * 9000, "2"),
        command("X" * 9000),
        command("EVAL", "x" * 9000),
    ],
)
def test_other_large_commands_are_refused_and_skipped(raw: bytes) -> None:
    """A key, a command, a value that does not come last: nothing of it is forwarded, and the next command is found."""
    for allows in (False, True):
        side = play().agent((raw + GET)[:6000])
        request = side.request()
        assert request.operations[0].facts.verb is Verb.UNKNOWN
        if allows:
            side.results.open.update(request.operations)
            assert side.wire.forward(request) == PING
            side.resource(b"+PONG\r\n")
            assert b"longer than" in side.take_agent()
        else:
            said = side.wire.refuse(request, NO).to_agent
            assert b"limit.message" in said
        side.nothing().agent((raw + GET)[6000:])
        side.asks("GET a").allowed().resource_sees(GET)


def test_garbage_of_an_agent_is_its_fault() -> None:
    """It ends the session."""
    with pytest.raises(AgentError, match="Protocol error"):
        list(requests(wire(), b"*1\r\n$-5\r\n"))


def test_refusals_are_one_line() -> None:
    """Whatever a rule's text holds."""
    side = play().agent(GET).asks("GET a")
    side.refused(Refuse("policy.refused", "r", "two\r\nlines", "a\nhint"))
    said = side.take_agent()
    assert said.count(b"\n") == 1 and said.endswith(b"\r\n")


def test_goodbye() -> None:
    """An error between replies, nothing within one."""
    side = play().agent(GET).asks("GET a").allowed()
    assert side.wire.goodbye(NO).startswith(b"-ERR refused by rule")
    side.resource(b"$5\r\nab")
    assert side.wire.goodbye(NO) == b""
    side = play().agent(MULTI + SET + GET + EXEC)
    for _ in range(3):
        side.request()
    side.asks("SET a 1", "GET a").allowed().resource(OK + QUEUED + QUEUED + b"*2\r\n" + OK)
    assert side.wire.partial and side.wire.goodbye(NO) == b""
    side.resource(bulk("x"))
    assert not side.wire.partial and side.wire.goodbye(NO)


REPLIES = {
    b"MULTI": OK, b"SELECT": OK, b"PING": b"+PONG\r\n", b"INCR": b":3\r\n", b"LPOP": b"-WRONGTYPE no\r\n",
    b"GET": bulk("hello"), b"HGETALL": array(bulk("email"), bulk("a@b.c"), bulk("city"), b"$-1\r\n"),
    b"SMEMBERS": array(bulk("x"), bulk("y")), b"EXEC": array(b":3\r\n", bulk("hello")),
    b"XRANGE": array(array(bulk("1-1"), array(bulk("f"), bulk("v")))),
}  # fmt: skip
SAYS = b"".join(
    (
        *(MULTI, command("INCR", "n"), GET, EXEC, GET, command("SELECT", "2"), command("HGETALL", "user:1"), PING),
        *(MULTI, GET, DISCARD, command("SMEMBERS", "s"), command("LPOP", "l"), b"get a\r\n", DEL),
        *(command("XRANGE", "st", "-", "+"), EXEC, command("QUIT")),
    )
)


def server(sent: bytes) -> bytes:
    """What a server answers."""
    said, at, inside = b"", 0, False
    while at < len(sent):
        command = Command(10**6)
        at = command.take(sent, at)
        name = command.args[0].upper()
        said += QUEUED if inside and name != b"EXEC" else REPLIES[name]
        inside = name == b"MULTI" or (inside and name != b"EXEC")
    return said


def converse(size: int, back: int) -> tuple[bytes, bytes, list[tuple[str, str, str]]]:
    """What both sides see of the conversation when it comes in pieces; DEL is refused."""
    side, results = wire(), Masker({"2/user:1.email": "M"}, concealing=True)
    shown = sent = waiting = b""
    agent = [SAYS[at : at + size] for at in range(0, len(SAYS), size)]
    parked: Request | None = None
    while not side.over:
        if parked is not None and not side.pending:
            shown, parked = shown + side.refuse(parked, NO).to_agent, None
        request = None if parked is not None else side.request()
        if request is not None and request.own is not None:
            assert not side.pending
            shown += request.own
        elif request is not None and request.operations and request.operations[0].facts.command == "del":
            parked = request
        elif request is not None:
            results.open.update(request.operations)
            forwarded = side.forward(request)
            sent, waiting = sent + forwarded, waiting + server(forwarded)
        elif agent and parked is None and not side.waiting:
            side.feed(agent.pop(0))
        else:
            assert waiting, "nobody says anything any more"
            shown, waiting = shown + side.responses(waiting[:back], results), waiting[back:]
    return shown, sent, results.outcomes


WHOLE = converse(10**6, 10**6)


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60))
def test_any_split_is_the_same_conversation(size: int, back: int) -> None:
    """Both sides see the same, and the outcomes are the same, however the bytes are cut."""
    assert converse(size, back) == WHOLE


def test_the_whole_conversation() -> None:
    """What it is, so that the law above is about the right thing."""
    shown, sent, outcomes = WHOLE
    assert shown.startswith(OK + QUEUED * 2 + array(b":3\r\n", bulk("hello")) + bulk("hello") + OK)
    assert bulk("M") in shown and b"a@b.c" not in shown
    assert REFUSED in shown and DEL not in sent
    assert shown.endswith(b"-ERR EXEC without MULTI\r\n" + OK)
    assert ("LPOP l", "error", "WRONGTYPE") in outcomes


@settings(max_examples=200)
@given(st.binary(max_size=80), st.integers(1, 20))
def test_a_lying_upstream_is_an_error_or_is_waited_for(data: bytes, size: int) -> None:
    """Whatever it sends."""
    side, results = wire(protocol=3), Masker({"0/a.value": "M", "unknown": "M"}, concealing=True)
    for request in requests(side, GET + command("HGETALL", "a") + MULTI + GET + GET + EXEC + command("SUBSCRIBE", "c")):
        results.open.update(request.operations)
        side.forward(request) if request.own is None else None
    try:
        for at in range(0, len(data), size):
            side.responses(data[at : at + size], results)
    except ResourceError:
        return
