"""What a held statement would do, over HTTP: who may look, and what the log says of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import orjson
import pytest

from tidegate.model.approval import GRANT
from tidegate.model.impact import Attempt, Impact, Sample
from tidegate.web.impact import attempt_of
from unit.enforcement.people import held as question
from unit.web.world import World

UPDATE = "UPDATE orders SET status = 'gone'"


def test_estimate_and_try(staffed: World) -> None:
    """An approver gets an estimate of exactly what is asked, or sees it tried."""
    held = staffed.hold(staffed.session("OPS-17"), UPDATE)
    staffed.impact = Impact(rows=7, objects=("public.orders",), notes=("a note",))
    view = staffed.get(f"/approvals/{held.id}/impact", "bob").json()
    assert (view["rows"], view["exact"], view["objects"], view["after"]) == (7, False, ["public.orders"], None)
    staffed.impact = Impact(rows=1, exact=True, sample_after=Sample(("id", "\x1b[2J"), [("1", None)]))
    view = staffed.post(f"/approvals/{held.id}/try", "bob").json()
    assert view["after"] == {"columns": ["id", "\\x1b[2J"], "rows": [["1", None]]}
    assert staffed.attempts[-2:] == [("shop", Attempt(UPDATE, b"", b"", "the same"), run) for run in (False, True)]


def test_looks_are_in_the_log(staffed: World) -> None:
    """Each look is a leaf before the resource is asked, and one with the hash of what was shown."""
    held = staffed.hold(staffed.session(), UPDATE)
    staffed.impact = Impact(rows=2, exact=True)
    view = staffed.post(f"/approvals/{held.id}/try", "bob").json()
    before, after = staffed.leaves("approval.tried")[-2:]
    assert (before["ap"], before["dg"], before["run"]) == (held.id, held.question.digest, True)
    assert before["by"] == after["by"] != "" and "sh" not in before
    assert after["sh"] == hashlib.sha256(orjson.dumps(view, option=orjson.OPT_SORT_KEYS)).hexdigest()


def test_only_who_may_answer(staffed: World) -> None:
    """The person whose agent asks, strangers, and who only observes do not look; nothing is asked of the resource."""
    held = staffed.hold(staffed.session(), UPDATE)
    asked = len(staffed.attempts)
    for path, method in (("impact", staffed.get), ("try", staffed.post)):
        assert method(f"/approvals/{held.id}/{path}", "alice").json()["code"] == "approval.self"
        assert method(f"/approvals/{held.id}/{path}", "eve").json()["code"] == "approval.unknown"
        assert method(f"/approvals/ap_none/{path}", "bob").json()["code"] == "approval.unknown"
    assert len(staffed.attempts) == asked


def test_what_is_answered_is_not_tried(staffed: World) -> None:
    """Nothing is looked at once somebody has said no."""
    held = staffed.hold(staffed.session(), UPDATE)
    assert staffed.post(f"/approvals/{held.id}/refuse", "bob", {"reason": "no"}).json()["state"] == "rejected"
    assert staffed.post(f"/approvals/{held.id}/try", "bob").json()["code"] == "approval.unknown"


def bound(*operations: dict[str, str]) -> str:
    """What a yes is bound to."""
    return orjson.dumps({"operations": operations, "context": "[]"}).decode()


ONE = {"text": "update t set n = $1", "runs": "", "parameters": "AAE=", "declared": "00000017", "phase": "execute"}


def test_the_attempt_is_what_is_bound() -> None:
    """Text, values, types and context are those that the digest covers."""
    asked = replace(question().question, bound=bound(ONE))
    assert attempt_of(asked) == Attempt("update t set n = $1", b"\0\1", b"\0\0\0\x17", "[]")


@pytest.mark.parametrize(
    "operations", [(), (ONE, ONE), ({**ONE, "runs": "delete from t"},), ({**ONE, "phase": "prepare"},)]
)
def test_no_attempt(operations: tuple[dict[str, str], ...]) -> None:
    """Several statements, or what a name stands for, are not looked at."""
    found = attempt_of(replace(question().question, bound=bound(*operations)))
    assert isinstance(found, Impact) and found.unknown


def test_grants_are_not_tried() -> None:
    """There is nothing to run in access itself."""
    assert isinstance(attempt_of(replace(question().question, matter=GRANT)), Impact)
