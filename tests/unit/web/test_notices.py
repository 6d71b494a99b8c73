"""Notices over HTTP: what became of them, and once more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from receivers import Answer, Receiver, eventually
from unit.web.world import World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    """A receiver."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory, hook: Receiver) -> Iterator[World]:
    """A gateway that tells it."""
    directory = tmp_path_factory.mktemp("gateway")
    (directory / "secret").write_text(SECRET)
    (directory / "secret").chmod(0o600)
    channel = f'{{kind: webhook, url: "{hook.url}/hook", secret: "file:secret"}}'
    with World(
        directory, more=f"\nnotify: {{channels: {{hook: {channel}}}, routes: {{approvers: [hook]}}}}\n"
    ) as started:
        started.staff()
        yield started


def test_failed_shown_and_sent_again(staffed: World, hook: Receiver) -> None:
    """A receiver that is gone: the notice is listed as failed, and sent when somebody says so."""
    hook.answers.append(Answer(410))
    hold = staffed.hold(staffed.session())
    id = f"hook.{hold.id}.waiting-0"

    def found() -> dict[str, object]:
        rows = staffed.get("/notices", "root", state="all").json()["items"]
        return next((row for row in rows if row["id"] == id), {})

    eventually(lambda: found().get("state") == "failed")
    row = found()
    assert (row["channel"], row["about"], row["attempts"], row["error"]) == ("hook", hold.id, 1, "status 410")
    assert [each["id"] for each in staffed.get("/notices", "root", state="failed").json()["items"]] == [id]
    assert staffed.get("/notices", "root", state="failed", cursor="1").json()["items"] == []
    assert staffed.post(f"/notices/{id}/retry", "root").json()["state"] == "waiting"
    eventually(lambda: found().get("state") == "sent")
    first, second = hook.requests[-2:]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == f"{hold.id}.waiting-0"
    kinds = [leaf["k"] for leaf in staffed.leaves() if leaf.get("ap") == hold.id]
    assert [kind for kind in kinds if kind.startswith("notice.")] == ["notice.failed", "notice.sent"]


def test_it_needs_the_abilities(staffed: World) -> None:
    """Observe to see, operate to send; ids that are none, or of nothing, are refused."""
    answers = [staffed.get("/notices", "alice"), staffed.post("/notices/hook.ap_1.waiting-0/retry", "alice")]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "policy.refused")] * 2
    assert staffed.http.get("/notices").status_code == 401
    assert staffed.post("/notices/hook.ap_1.waiting-0/retry", "root").status_code == 404
    assert staffed.post("/notices/x/retry", "root").status_code == 400
