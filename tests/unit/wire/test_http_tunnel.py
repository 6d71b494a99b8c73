"""WebSockets over the HTTP wire."""

from __future__ import annotations

import pytest

from playbook import Playbook, Watcher
from tidegate.errors import AgentError, ResourceError
from tidegate.model.verdict import Refuse
from tidegate.wire.http_bodies import Bodies
from tidegate.wire.websocket import BINARY, CLOSE, CONTINUATION, TEXT, close, frame
from unit.wire.http_talking import answer, play, request
from unit.wire.test_websocket import masked

ASK = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = ("Connection: Upgrade", "Upgrade: websocket", ACCEPT)


def opened(results: Watcher | None = None, **words: object) -> Playbook:
    """A WebSocket that was agreed on."""
    talk = play(results, websocket=True, **words)
    talk.agent(request("GET", "/socket", *ASK, KEY, "Sec-WebSocket-Extensions: permessage-deflate"))
    talk.asks("GET /socket").allowed()
    sent = talk.take_resource()
    assert b"Upgrade: websocket\r\n" in sent and KEY.encode() in sent and b"Extensions" not in sent
    talk.resource(answer("101 Switching Protocols", *SWITCH, length=False))
    assert talk.take_agent().startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    return talk


def test_both_sides_talk() -> None:
    """What the agent says goes ahead as it is, what the server says comes framed anew; then it is over."""
    talk = opened().nothing()
    said = masked(frame(TEXT, b"hello"))
    talk.agent(said[:4]).asks(continues=True).allowed().agent(said[4:]).asks(continues=True).allowed()
    talk.resource_sees(said).resource(frame(TEXT, b"hi", last=False) + frame(CONTINUATION, b" you"))
    talk.agent_sees(frame(TEXT, b"hi", last=False) + frame(CONTINUATION, b" you"))
    assert not talk.wire.pending and not talk.wire.over
    talk.resource(close(1000, "bye")).agent_sees(close(1000, "bye"))
    assert talk.wire.over
    talk.outcomes(("GET /socket", "ok", ""))


def test_masks_come_back_nowhere() -> None:
    """What was unmasked of the agent's frames is looked at."""
    talk = opened().agent(masked(frame(TEXT, b"[masked:email 1]")))
    asked = talk.request()
    assert asked.unframed is not None and asked.unframed(asked.raw) == b"[masked:email 1]"


def test_messages_are_masked() -> None:
    """JSON by its paths, also in several frames; what cannot be read ends the connection."""
    results = Watcher(masks={"GET /socket.$.email": lambda _: b"[masked]"})
    bodies = Bodies(lambda _: True, searching=False, binary=False)
    talk = opened(results, open=bodies, masked=True)
    talk.resource(frame(TEXT, b'{"email": "e', last=False) + frame(CONTINUATION, b'@x.example", "a": 1}'))
    talk.agent_sees(frame(TEXT, b'{"email": "[masked]", "a": 1}'))
    assert results.masked == 1
    with pytest.raises(ResourceError):
        talk.resource(frame(BINARY, b"\0"))
    assert talk.wire.goodbye(Refuse("resource.binary", "tidegate", "no"))[0] == 0x80 | CLOSE


@pytest.mark.parametrize(
    "fields",
    [
        (*ASK,),
        (*ASK, "Sec-WebSocket-Key: short"),
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8", KEY),
        ("Connection: Upgrade", "Upgrade: something", KEY),
        ("Connection: Upgrade", "Upgrade: websocket, h3", "Sec-WebSocket-Version: 13", KEY),
    ],
)
def test_other_upgrades_are_refused(fields: tuple[str, ...]) -> None:
    """And every one where the resource has no WebSockets; an offer of HTTP/2 is only ignored."""
    with pytest.raises(AgentError) as caught:
        play(websocket=True).agent(request("GET", "/", *fields)).request()
    assert caught.value.code == "http.upgrade"
    with pytest.raises(AgentError):
        play().agent(request("GET", "/", *ASK, KEY)).request()
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA")
    play().agent(request("GET", "/", *offer)).asks("GET /").allowed()


@pytest.mark.parametrize(
    "fields",
    [
        SWITCH[:2],
        (*SWITCH[:2], "Sec-WebSocket-Accept: wrong"),
        (*SWITCH, "Sec-WebSocket-Extensions: permessage-deflate"),
        (*SWITCH, "Sec-WebSocket-Protocol: never-offered"),
        ("Connection: Upgrade", "Upgrade: h2c", ACCEPT),
    ],
)
def test_a_server_that_changes_to_something_else(fields: tuple[str, ...]) -> None:
    """Is not followed; nor is one that nobody asked."""
    talk = play(websocket=True).agent(request("GET", "/socket", *ASK, KEY)).asks("GET /socket").allowed()
    with pytest.raises(ResourceError):
        talk.resource(answer("101 Switching Protocols", *fields, length=False))
    talk = play(websocket=True).agent(request()).asks("GET /").allowed()
    with pytest.raises(ResourceError):
        talk.resource(answer("101 Switching Protocols", *SWITCH, length=False))


def test_a_server_may_decline() -> None:
    """Then it is an answer like any other, and the connection goes on."""
    talk = play(websocket=True).agent(request("GET", "/socket", *ASK, KEY)).asks("GET /socket").allowed()
    talk.resource(answer("404 Not Found", body=b"no")).agent_sees(answer("404 Not Found", body=b"no"))
    talk.agent(request("GET", "/b")).asks("GET /b")
