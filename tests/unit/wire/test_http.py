"""Conversations over the HTTP wire, as data."""

from __future__ import annotations

import json

import pytest

from playbook import Watcher
from tidegate.errors import AgentError, ResourceError
from tidegate.model.verdict import Refuse
from unit.wire.http_talking import SECRET, TOKEN, answer, chunks, play, request, sent, shouting, wire

NO = Refuse("policy.refused", "no-writes", "it is refused", "Ask a person.", "sid/7")
PENDING = Refuse("approval.pending", "ask", "it still waits", "Send it again.", "a-1")


def problem(data: bytes) -> dict[str, object]:
    """The body of a refusal."""
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    found: dict[str, object] = json.loads(body)
    return found


def test_a_read_goes_up_and_its_answer_comes_down() -> None:
    """The head is built anew in both directions, the body is the very bytes."""
    play().agent(request("GET", "/users/7?x=1", "Accept: */*")).asks(
        "GET /users/7?x=1"
    ).allowed().nothing().resource_sees(sent("GET", "/users/7?x=1", "Accept: */*")).resource(
        answer("200 OK", "Content-Type: text/plain", "Connection: keep-alive", body=b"hello")
    ).agent_sees(answer("200 OK", "Content-Type: text/plain", body=b"hello")).outcomes(("GET /users/7?x=1", "ok", ""))


def test_requests_follow_each_other_and_none_is_pipelined_upstream() -> None:
    """The second of two requests that came together is looked at after the answer to the first."""
    talk = play().agent(request("GET", "/1") + request("GET", "/2")).asks("GET /1").allowed().nothing()
    assert talk.wire.waiting and talk.wire.pending == 1
    talk.resource(answer(body=b"one")).asks("GET /2").allowed().resource(answer(body=b"two"))
    talk.agent_sees(answer(body=b"one") + answer(body=b"two"))
    assert not talk.wire.pending


def test_neither_credential_is_recorded() -> None:
    """What is recorded of both sides holds as many x instead."""
    talk = play().agent(request("GET", f"/?again={TOKEN}"))
    asked = talk.request()
    assert TOKEN.encode() not in asked.raw and b"x" * len(TOKEN) in asked.raw
    assert asked.shown is not None and SECRET not in asked.shown
    forwarded = talk.wire.forward(asked)
    assert SECRET in forwarded and len(forwarded) == len(asked.shown)


def test_a_short_body_is_part_of_its_request() -> None:
    """So that people see what they approve."""
    talk = play().agent(request("POST", "/orders", body=b'{"n": 1}'))
    asked = talk.request()
    assert asked.operations[0].parameters == b'{"n": 1}'
    assert talk.wire.forward(asked) == sent("POST", "/orders", framing="Content-Length: 8", body=b'{"n": 1}')


def test_a_short_body_in_chunks_gets_its_length() -> None:
    """Extensions and trailers are gone."""
    body = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"
    talk = play().agent(request("POST", "/orders", "Transfer-Encoding: chunked") + body)
    talk.asks("POST /orders").allowed().resource_sees(
        sent("POST", "/orders", framing="Content-Length: 5", body=b"abcde")
    )


def test_a_long_body_is_streamed() -> None:
    """The head is judged alone, and the body follows under its permit."""
    talk = play().agent(request("PUT", "/file", "Content-Length: 200000") + b"a" * 100)
    asked = talk.request()
    assert asked.operations[0].parameters == b"streamed"
    forwarded = talk.wire.forward(asked)
    talk.results.open.update(asked.operations)
    while (piece := talk.wire.request()) is not None:
        assert piece.continues and piece.unframed is not None
        forwarded += talk.wire.forward(piece)
    talk.agent(b"b" * 199_900)
    talk.asks(continues=True).allowed().nothing()
    assert forwarded == sent("PUT", "/file", framing="Content-Length: 200000", body=b"a" * 100)
    talk.resource_sees(b"b" * 199_900).resource(answer("201 Created")).agent_sees(answer("201 Created"))


def test_a_body_of_unknown_length_is_streamed_once_it_is_long() -> None:
    """Chunks are made anew."""
    talk = play().agent(request("PUT", "/file", "Transfer-Encoding: chunked") + b"%x\r\n" % 70_000 + b"a" * 70_000)
    talk.asks("PUT /file").allowed()
    talk.agent(b"\r\n1\r\nb\r\n0\r\n\r\n").asks(continues=True).allowed()
    seen = talk.take_resource()
    assert seen.endswith(b"%x\r\n" % 70_000 + b"a" * 70_000 + b"\r\n1\r\nb\r\n0\r\n\r\n")
    assert b"Transfer-Encoding: chunked\r\n" in seen and b"Content-Length" not in seen


def test_a_body_that_matters_is_never_streamed() -> None:
    """One that is longer than what is held is refused."""
    with pytest.raises(AgentError) as caught:
        play(limit=100).agent(request("POST", "/body", body=b"a" * 101)).request()
    assert caught.value.code == "http.large"
    with pytest.raises(AgentError) as caught:
        play(limit=100).agent(request("POST", "/body", "Transfer-Encoding: chunked") + chunks(b"a" * 101)).nothing()
    assert caught.value.code == "http.large"


def test_an_agent_that_waits_for_100_is_told_to_go_on() -> None:
    """By the gateway, before a short body, and after the verdict before a long one."""
    talk = play().agent(request("POST", "/a", "Expect: 100-continue", "Content-Length: 3"))
    assert talk.request().own == b"HTTP/1.1 100 Continue\r\n\r\n"
    talk.nothing().agent(b"abc").asks("POST /a").allowed()
    assert b"Expect" not in talk.take_resource()
    talk = play().agent(request("POST", "/a", "Expect: 100-continue", "Content-Length: 300000"))
    talk.asks("POST /a").allowed()
    assert talk.request().own == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_refusal_keeps_the_connection() -> None:
    """It is a problem of RFC 9457, and the next request is answered."""
    talk = play().agent(request("POST", "/a", body=b"x")).asks("POST /a").refused(NO)
    seen = talk.take_agent()
    assert seen.startswith(b"HTTP/1.1 403 Forbidden\r\n") and b"Connection: close" not in seen
    found = problem(seen)
    assert (found["code"], found["rule"], found["request"]) == ("policy.refused", "no-writes", "sid/7")
    assert not talk.wire.over and talk.wire.idle  # type: ignore[attr-defined]
    talk.resource_sees(b"").agent(request("GET", "/b")).asks("GET /b").allowed()


def test_the_body_of_a_refused_request_is_dropped() -> None:
    """Or ends the connection when it is long."""
    talk = play().agent(request("PUT", "/a", "Content-Length: 100000")).asks("PUT /a").refused(NO)
    assert b"Connection: close" not in talk.take_agent()
    talk.agent(b"a" * 100_000 + request("GET", "/b"))
    assert talk.request().own == b""
    talk.asks("GET /b").allowed()
    talk = play().agent(request("PUT", "/a", "Content-Length: 10000000")).asks("PUT /a").refused(NO)
    assert b"Connection: close" in talk.take_agent() and not talk.wire.over
    talk.agent(b"a" * 9_000_000)
    assert talk.request().own == b"" and talk.wire.over


def test_a_held_request_may_be_answered_with_202() -> None:
    """With the address of its approval, for an agent that prefers so; any other is told by a problem."""
    talk = play().agent(request("POST", "/a", "Prefer: respond-async", body=b"x"))
    asked = talk.request()
    assert asked.patience == 0
    said = talk.wire.refuse(asked, PENDING).to_agent
    assert said.startswith(b"HTTP/1.1 202 Accepted\r\n") and b"Preference-Applied: respond-async\r\n" in said
    assert b"Location: https://gw/approvals/a-1\r\n" in said
    talk = play().agent(request("POST", "/a", "Prefer: wait=5", body=b"x"))
    asked = talk.request()
    assert asked.patience == 5
    assert problem(talk.wire.refuse(asked, PENDING).to_agent)["approval"] == "https://gw/approvals/a-1"


def test_a_body_that_may_be_masked_comes_in_chunks() -> None:
    """What said how long it was, or what it was, is gone."""
    talk = play(open=shouting, masked=True).agent(request()).asks("GET /").allowed()
    talk.resource(answer("200 OK", 'ETag: "1"', "Accept-Ranges: bytes", body=b"hello"))
    talk.agent_sees(answer("200 OK", "Transfer-Encoding: chunked", length=False) + chunks(b"HELLO", b"!"))


def test_an_older_agent_gets_a_body_that_ends_with_the_connection() -> None:
    """HTTP/1.0 knows no chunks."""
    talk = play(open=shouting, masked=True).agent(b"GET / HTTP/1.0\r\n\r\n").asks("GET /").allowed()
    talk.resource(answer(body=b"hi"))
    talk.agent_sees(answer("200 OK", "Connection: close", length=False) + b"HI!")
    assert talk.wire.over


def test_a_body_that_ends_with_the_upstreams_connection() -> None:
    """Is whole for the agent, and the agent's connection goes on in another session."""
    talk = play().agent(request()).asks("GET /").allowed().resource(answer(length=False) + b"all")
    assert not talk.wire.over
    talk.took(talk.wire.left(talk.results), b"")
    talk.agent_sees(answer("200 OK", "Transfer-Encoding: chunked", length=False) + chunks(b"all"))
    assert talk.wire.idle and talk.wire.goodbye(Refuse("resource.lost", "tidegate", "lost")) == b""  # type: ignore[attr-defined]


def test_a_body_that_is_cut_short_does_not_look_complete() -> None:
    """No last chunk is said, and nothing else either."""
    talk = play(open=shouting).agent(request()).asks("GET /").allowed().resource(answer(body=b"x" * 9)[:-4])
    assert talk.wire.left(talk.results) == b""
    assert talk.wire.goodbye(Refuse("resource.lost", "tidegate", "lost")) == b""
    assert not talk.take_agent().endswith(b"0\r\n\r\n")


def test_an_upstream_that_dies_before_it_answers() -> None:
    """Is a 502 of the gateway's."""
    talk = play().agent(request()).asks("GET /").allowed()
    assert talk.wire.left(talk.results) == b""
    assert problem(talk.wire.goodbye(Refuse("resource.lost", "tidegate", "lost")))["status"] == 502


def test_answers_without_bodies() -> None:
    """HEAD, 204 and 304 have none, whatever their fields say."""
    for method, status in (("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")):
        talk = play().agent(request(method)).asks(f"{method} /").allowed()
        talk.resource(answer(status, "Content-Length: 5", length=False))
        assert talk.wire.pending == 0
        kept = ["Content-Length: 5"] if method == "HEAD" else []
        talk.agent_sees(answer(status, *kept, length=False))


def test_interim_answers_are_dropped_and_counted() -> None:
    """A flood of them ends the session."""
    talk = play().agent(request()).asks("GET /").allowed()
    talk.resource(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(body=b"x")).agent_sees(answer(body=b"x"))
    talk = play().agent(request()).asks("GET /").allowed()
    with pytest.raises(ResourceError):
        talk.resource(b"HTTP/1.1 100 Continue\r\n\r\n" * 9)


def test_an_answer_that_nobody_asked_for_is_never_shown() -> None:
    """And the connection that it came by is given up."""
    talk = play().agent(request()).asks("GET /").allowed().resource(answer(body=b"a") + answer(body=b"evil"))
    talk.agent_sees(answer(body=b"a"))
    assert talk.wire.spent and talk.wire.between  # type: ignore[attr-defined]
    talk.wire.renewed()  # type: ignore[attr-defined]
    talk.agent(request("GET", "/b")).asks("GET /b").allowed().resource(answer(body=b"b")).agent_sees(answer(body=b"b"))


def test_a_credential_that_is_not_taken_is_read_anew() -> None:
    """By another session: the next request is not taken."""
    talk = play().agent(request()).asks("GET /").allowed().resource(answer("401 Unauthorized"))
    talk.agent_sees(answer("401 Unauthorized")).agent(request("GET", "/b"))
    asked = talk.request()
    assert asked.farewell and asked.raw == b"" and talk.wire.rest == request("GET", "/b")


def test_a_request_of_another_session_is_not_taken() -> None:
    """All of it goes back to the protocol."""
    talk = play(mine=lambda head: head.target if b"other" not in head.target else None)
    talk.agent(request("GET", "/a")).asks("GET /a").allowed().resource(answer())
    talk.agent(request("GET", "/other", body=b"abc") + b"more")
    asked = talk.request()
    assert asked.farewell and talk.wire.rest == request("GET", "/other", body=b"abc") + b"more"


def test_a_redirect_that_leads_away_is_withheld() -> None:
    """The agent is told why, and goes on over another connection."""
    talk = play().agent(request()).asks("GET /").allowed()
    talk.resource(answer("302 Found", "Location: https://evil.example/", body=b"x"))
    assert problem(talk.take_agent())["code"] == "resource.redirect"
    talk.outcomes(("GET /", "error", "resource.redirect")).agent(request("GET", "/b")).asks("GET /b")
    assert talk.wire.spent  # type: ignore[attr-defined]


def test_header_fields_are_masked() -> None:
    """By the field's name in lower case; a mask makes no lines of its own."""
    masks = {"GET /.header.x-user": lambda value: b"masked\r\nEvil: 1"}
    results = Watcher(masks=masks)
    talk = play(results, masked=True).agent(request()).asks("GET /").allowed()
    talk.resource(answer("200 OK", "X-User: eve@x.example", "X-Other: 1")).agent_sees(
        answer("200 OK", "X-User: maskedEvil: 1", "X-Other: 1")
    )
    assert results.masked == 1


def test_a_stream_of_events_is_no_pending_request() -> None:
    """It has no end, and each event passes at once."""
    talk = play().agent(request()).asks("GET /").allowed()
    talk.resource(answer("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked", length=False))
    talk.take_agent()
    assert talk.wire.pending == 0
    talk.resource(b"9\r\ndata: 1\n\n\r\n").agent_sees(b"9\r\ndata: 1\n\n\r\n").nothing()


def test_an_agent_that_says_close_is_heard() -> None:
    """The connection ends with the answer."""
    talk = play().agent(request("GET", "/", "Connection: close")).asks("GET /").allowed().resource(answer(body=b"x"))
    talk.agent_sees(answer("200 OK", body=b"x").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert talk.wire.over


def test_too_many_rows_end_the_answer() -> None:
    """Visibly."""
    talk = play(Watcher(most=0), open=shouting).agent(request()).asks("GET /").allowed().resource(answer(body=b"x"))
    assert talk.wire.over and problem(talk.take_agent())["code"] == "limit.rows"
    talk = play(Watcher(most=0)).agent(request()).asks("GET /").allowed().resource(answer(body=b"x"))
    assert talk.wire.over and talk.take_agent().endswith(b"\r\n\r\n")


def test_a_body_that_must_not_pass_is_withheld() -> None:
    """As long as nothing of it has passed; an error keeps its status."""
    for status, number in (("200 OK", 502), ("404 Not Found", 404)):
        results = Watcher()
        talk = play(results, open=shouting, masked=True).agent(request()).asks("GET /").allowed()
        talk.resource(answer(status, body=b"forbidden"))
        found = problem(talk.take_agent())
        assert (found["code"], found["status"]) == ("resource.binary", number)
        talk.outcomes(("GET /", "error", "resource.binary"))
        assert not talk.wire.over and talk.wire.spent  # type: ignore[attr-defined]
    talk = play(open=shouting, masked=True).agent(request()).asks("GET /").allowed()
    said = answer("200 OK", "Transfer-Encoding: chunked", length=False) + b"2\r\nhi\r\n"
    talk.resource(said)
    with pytest.raises(ResourceError):
        talk.resource(b"9\r\nforbidden\r\n")
    assert talk.wire.goodbye(Refuse("resource.binary", "tidegate", "no")) == b""


def test_replaced_values_are_counted() -> None:
    """Under the request's object and the field's path."""
    results = Watcher()
    talk = (
        play(results, open=shouting, masked=True).agent(request()).asks("GET /").allowed().resource(answer(body=b"a"))
    )
    assert results.masked == 1 and talk.wire.between  # type: ignore[attr-defined]


def test_a_goodbye_between_requests_says_nothing() -> None:
    """What nobody asked for would be taken for the next answer."""
    assert wire().goodbye(Refuse("session.idle", "tidegate", "idle")) == b""


@pytest.mark.parametrize("target", ["/a", "*"])
def test_methods_that_would_open_a_way_are_refused(target: str) -> None:
    """CONNECT and TRACE."""
    for method in ("CONNECT", "TRACE"):
        with pytest.raises(AgentError) as caught:
            talk = play().agent(request(method, target))
            talk.request()
        assert caught.value.code in ("http.method", "http.malformed")
        assert b"HTTP/1.1 " in talk.wire.goodbye(Refuse(caught.value.code, "tidegate", "no"))
