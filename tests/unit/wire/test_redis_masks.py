"""Masks find the fields of each kind of reply, as RESP2 and as RESP3 give it."""

from __future__ import annotations

import pytest

from .redis_talking import Masker, array, bulk, command, play

M, S, C = bulk("M"), bulk("secret"), bulk("clear")
USER = {"0/u.email": "M"}
NULLS = {2: b"$-1\r\n", 3: b"_\r\n"}


def entry(*pairs: bytes) -> bytes:
    """An entry of a stream."""
    return array(bulk("1-1"), array(*pairs))


CASES = [
    # command, masks, RESP version, what came, what is shown
    ("GET u", {"0/u.value": "M"}, 2, S, M),
    ("GET u", {"0/u.value": "M"}, 3, b"=10\r\ntxt:secret\r\n", M),
    ("INCR u", {"0/u.value": "M"}, 2, b":5\r\n", b"$-1\r\n"),
    ("INCR u", {"0/u.value": "M"}, 3, b":5\r\n", b"_\r\n"),
    ("SET u x GET", {"0/u.value": "M"}, 2, S, M),
    ("SET u x", {"0/u.value": "M"}, 2, b"+OK\r\n", b"+OK\r\n"),
    ("MGET a u", {"0/u.value": "M"}, 2, array(C, S), array(C, M)),
    ("MGET u a", {"0/u.value": "M"}, 2, array(b"$-1\r\n", C), array(b"$-1\r\n", C)),
    ("HGET u email", USER, 2, S, M),
    ("HGET u city", USER, 2, C, C),
    ("HMGET u city email", USER, 2, array(C, S), array(C, M)),
    ("HGETALL u", USER, 2, array(bulk("email"), S, bulk("city"), C), array(bulk("email"), M, bulk("city"), C)),
    (
        "HGETALL u", USER, 3,
        array(bulk("email"), S, bulk("city"), C, kind=b"%"), array(bulk("email"), M, bulk("city"), C, kind=b"%"),
    ),
    ("HVALS u", {"unknown": "M"}, 2, array(S, C), array(M, M)),
    ("HKEYS u", {"0/u.name": "M"}, 2, array(S), array(M)),
    ("HSCAN u 0", USER, 2, array(bulk("0"), array(bulk("email"), S)), array(bulk("0"), array(bulk("email"), M))),
    ("HRANDFIELD u 2 WITHVALUES", USER, 3, array(array(bulk("email"), S)), array(array(bulk("email"), M))),
    ("HRANDFIELD u 2 WITHVALUES", USER, 2, array(bulk("email"), S), array(bulk("email"), M)),
    ("LRANGE u 0 -1", {"0/u.value": "M"}, 2, array(S, S), array(M, M)),
    ("SMEMBERS u", {"0/u.value": "M"}, 3, array(S, kind=b"~"), array(M, kind=b"~")),
    ("SSCAN u 0", {"0/u.value": "M"}, 2, array(bulk("0"), array(S)), array(bulk("0"), array(M))),
    ("ZRANGE u 0 -1 WITHSCORES", {"0/u.value": "M"}, 2, array(S, bulk("1")), array(M, bulk("1"))),
    ("ZRANGE u 0 -1 WITHSCORES", {"0/u.value": "M"}, 3, array(array(S, b",1\r\n")), array(array(M, b",1\r\n"))),
    ("ZRANGE u 0 -1 WITHSCORES", {"0/u.score": "M"}, 3, array(array(C, b",1\r\n")), array(array(C, b"_\r\n"))),
    ("ZSCORE u m", {"0/u.score": "M"}, 3, b",1.5\r\n", b"_\r\n"),
    ("ZSCORE u m", {"0/u.score": "M"}, 2, bulk("1.5"), M),
    ("ZPOPMIN u", {"0/u.value": "M"}, 2, array(S, bulk("1")), array(M, bulk("1"))),
    ("XRANGE u - +", USER, 2, array(entry(bulk("email"), S)), array(entry(bulk("email"), M))),
    (
        "XREAD STREAMS u 0", USER, 2,
        array(array(bulk("u"), array(entry(bulk("email"), S)))),
        array(array(bulk("u"), array(entry(bulk("email"), M)))),
    ),
    (
        "XREAD STREAMS u 0", USER, 3,
        array(bulk("u"), array(entry(bulk("email"), S)), kind=b"%"),
        array(bulk("u"), array(entry(bulk("email"), M)), kind=b"%"),
    ),
    ("XREAD STREAMS u 0", USER, 2, b"*-1\r\n", b"*-1\r\n"),
    (
        "XAUTOCLAIM u g c 0 0", USER, 2,
        array(bulk("0-0"), array(entry(bulk("email"), S)), array(bulk("9-9"))),
        array(bulk("0-0"), array(entry(bulk("email"), M)), array(bulk("9-9"))),
    ),
    ("BLPOP a u 0", {"0/u.value": "M"}, 2, array(bulk("u"), S), array(bulk("u"), M)),
    ("BLPOP a u 0", {"0/u.value": "M"}, 2, array(bulk("a"), C), array(bulk("a"), C)),
    ("LMPOP 1 u LEFT", {"0/u.value": "M"}, 2, array(bulk("u"), array(S)), array(bulk("u"), array(M))),
    (
        "ZMPOP 1 u MIN", {"0/u.value": "M"}, 2,
        array(bulk("u"), array(array(S, bulk("1")))), array(bulk("u"), array(array(M, bulk("1")))),
    ),
    ("BZPOPMIN u 0", {"0/u.value": "M"}, 2, array(bulk("u"), S, bulk("1")), array(bulk("u"), M, bulk("1"))),
    ("SINTER a u", {"unknown": "M"}, 2, array(S), array(M)),
    ("EVAL 'return 1' 0", {"unknown": "M"}, 2, array(S, b":1\r\n", b"-ERR secret\r\n"), None),
    ("EVAL 'return 1' 0", {"unknown": "M"}, 2, b"+secret\r\n", M),
    ("EXISTS u", {"0/u.value": "M"}, 2, b":1\r\n", b":1\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "masks", "protocol", "came", "shown"), CASES, ids=lambda case: str(case)[:40])
@pytest.mark.parametrize("cut", [False, True])
def test_masks(text: str, masks: dict[str, str], protocol: int, came: bytes, shown: bytes | None, cut: bool) -> None:
    """Whole, or a byte at a time."""
    words = [word.strip("'") for word in text.replace("'return 1'", "'return_1'").split()]
    words = ["return 1" if word == "return_1" else word for word in words]
    side = play(Masker(masks, concealing=True), protocol=protocol).agent(command(*words))
    request = side.request()
    side.results.open.update(request.operations)
    side.wire.forward(request)
    for piece in [came[at : at + 1] for at in range(len(came))] if cut else [came]:
        side.resource(piece)
    said = side.take_agent()
    assert said == shown if shown is not None else b"secret" not in said
    assert side.wire.pending == 0 and not side.results.open


def test_what_nobody_can_trace_is_always_asked_for() -> None:
    """Also when the command touches no tagged key."""
    side = play(Masker({"unknown": "M"})).agent(command("CLIENT", "LIST"))
    side.asks("CLIENT LIST").allowed().resource(S).agent_sees(M)


def test_masks_are_counted_by_field() -> None:
    """For the evidence."""
    results = Masker(USER, concealing=True)
    side = play(results).agent(command("HGETALL", "u"))
    side.asks("HGETALL u").allowed().resource(array(bulk("email"), S, bulk("city"), C))
    assert results.fields == {"0/u.email": 1}


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("BLPOP a u 0", array(bulk("other"), S)),
        ("XREAD STREAMS u 0", array(array(bulk("other"), array()))),
        ("XREAD STREAMS u 0", array(array(bulk("u")))),
    ],
)
def test_a_reply_about_something_else_ends_the_session(text: str, came: bytes) -> None:
    """A key that nobody asked for has no tag that could be trusted."""
    side = play(Masker({"0/u.value": "M"}, concealing=True)).agent(command(*text.split()))
    side.asks(text).allowed()
    with pytest.raises(Exception, match="cannot be read"):
        side.resource(came)


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("HGETALL u", array(bulk("email"), S, S)),
        ("HGETALL u", S),
        ("HMGET u city email", array(S)),
        ("XRANGE u - +", array(S)),
        ("MGET a u", array(S)),
    ],
)
def test_another_shape_than_expected_is_masked_whole(text: str, came: bytes) -> None:
    """What cannot be traced counts as untraced."""
    side = play(Masker({"unknown": "M"}, concealing=True)).agent(command(*text.split()))
    side.asks(text).allowed().resource(came)
    assert b"secret" not in side.take_agent()


def test_names_that_are_no_text_are_told_apart() -> None:
    """Two fields never share a name."""
    results = Masker({"0/u.\\xff": "M"}, concealing=True)
    reply = array(bulk(b"\xff"), S, bulk(b"\\xff"), C)
    side = play(results).agent(command("HGETALL", "u")).asks("HGETALL u").allowed().resource(reply)
    assert side.take_agent() == array(bulk(b"\xff"), M, bulk(b"\\xff"), C)
