"""The gateway's own log over those of its workers, and what the verifier says to each way of tampering with them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from tidegate.audit.library import Library, SealedLog
from tidegate.audit.log import Log
from tidegate.audit.members import Members
from tidegate.audit.seal import Recipients
from tidegate.audit.verify import Authority, Population, Report, verify
from tidegate.clock import SystemClock
from tidegate.errors import IntegrityError
from tidegate.model.event import Json

AGE = str(pyrage.x25519.Identity.generate().to_public())
SUB: dict[str, Json] = {"sub": "u_1"}


def opened(data: Path, worker: int = 0) -> Log:
    """The gateway's own log, or a worker's."""
    directory = data / "workers" / str(worker) if worker else data
    name = f"gw1-{worker}" if worker else "gw1"
    recipients = Recipients((AGE,), (AGE,))
    return Log.open(
        directory, organisation="example.org", gateway=name, clock=SystemClock(), recipients=recipients, segment=2**20
    )


def session(log: Log, sid: str = "s-1", act: str = "u_1", **about: Json) -> None:
    """A session of two leaves and one operation."""
    common: dict[str, Json] = {"sid": sid, "sub": act, "act": [act]}
    log.append("session.start", {**common, "n": 1, "res": "shop", "gid": "g_1", "jti": "tk_1", **about})
    index = log.append("op.intent", {**common, "n": 2, "req": "allow", "eff": False})
    log.append("op.outcome", {**common, "n": 3, "of": index, "st": "ok", "code": ""})
    log.append("session.end", {**common, "n": 4, "total": 4, "reason": "agent_left", "rec": {}})


def gateway(data: Path, work: Callable[[int, Log], None], *, rounds: int = 1) -> None:
    """One life of a supervisor with two workers: a grant, then whatever each worker does, told after each round."""

    async def live() -> None:
        own = opened(data)
        own.start()
        members = Members(own)
        members.check()
        workers = {number: opened(data, number) for number in (1, 2)}
        if own.size < 3:
            own.append("identity.bound", {"sub": "u_1", "groups": ["staff"]})
            given: dict[str, Json] = {"gid": "g_1", "act": ["u_1"], "res": "shop", "exp": 2**52}
            own.append("grant.activated", {**given, "sub": "u_1"})
            await own.sync()
        for log in workers.values():
            log.start()
            await members.join(log.origin, log.vkey)
        for _ in range(rounds):
            for number, log in workers.items():
                work(number, log)
        for log in workers.values():
            await log.stop("stopped")
        await members.tell()
        await own.stop("stopped")

    asyncio.run(live())


def said(report: Report) -> str:
    """All findings as text."""
    return "\n".join(map(str, report.findings))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lives of a gateway with two workers; ``earlier`` beside it is a copy from in between."""
    data = tmp_path_factory.mktemp("members") / "data"
    gateway(data, lambda number, log: session(log, f"s-{number}"))
    shutil.copytree(data, data.parent / "earlier")
    gateway(data, lambda number, log: session(log, f"t-{number}"))
    return data


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    shutil.copytree(whole.parent / "earlier", tmp_path / "earlier")
    return Path(shutil.copytree(whole, tmp_path / "data"))


def test_all_logs_hold_together(whole: Path) -> None:
    """One trust file, one command: the gateway's log and every worker's."""
    report = verify(whole, trust=whole / "trust.txt")
    assert report.status == 0, said(report)
    assert [origin.split("/")[2] for origin, _, _ in report.members] == ["gw1-1", "gw1-2"]
    assert (whole / "trust.txt").read_text().count("log example.org/gw/gw1") == 3


def test_the_gateways_key_is_enough(whole: Path, tmp_path: Path) -> None:
    """A trust file from before there were workers still does: the trusted log vouches for the others' keys."""
    lines = (whole / "trust.txt").read_text().splitlines()
    (tmp_path / "trust.txt").write_text("\n".join(line for line in lines if "gw1-" not in line))
    assert verify(whole, trust=tmp_path / "trust.txt").status == 0


def test_a_removed_log(data: Path) -> None:
    """A worker's directory that is gone is named, with what it had."""
    shutil.rmtree(data / "workers" / "2")
    report = verify(data)
    assert report.status == 1 and "example.org/gw/gw1-2" in said(report) and "is missing" in said(report)


def test_a_truncated_log(data: Path) -> None:
    """An older copy of a worker's whole directory is shorter than the gateway's log says."""
    shutil.rmtree(data / "workers" / "2")
    shutil.copytree(data.parent / "earlier" / "workers" / "2", data / "workers" / "2")
    report = verify(data)
    assert report.status == 1 and "truncated" in said(report)
    with pytest.raises(IntegrityError, match="gw1-2") as refused:
        Members(opened(data)).check()
    assert refused.value.status == 66


def test_a_log_made_anew(data: Path, tmp_path: Path) -> None:
    """A worker's log under another key, however whole, is not the one that the gateway's log speaks of."""
    gateway(tmp_path / "other", lambda number, log: session(log, f"x-{number}"), rounds=4)
    shutil.rmtree(data / "workers" / "2")
    shutil.copytree(tmp_path / "other" / "workers" / "2", data / "workers" / "2")
    report = verify(data)
    assert report.status != 0 and "rewritten" in said(report)
    assert "signature" in {finding.check for finding in report.findings}


def test_an_altered_leaf_is_found_in_its_log(data: Path) -> None:
    """The finding names the worker's log and the leaf."""
    path = next((data / "workers" / "2").rglob("entries/000.p/*"))
    path.write_bytes(path.read_bytes().replace(b'"eff":false', b'"eff":true '))
    report = verify(data)
    assert report.status == 1
    assert any(finding.log == "example.org/gw/gw1-2/2026"[: len(finding.log)] for finding in report.findings)
    assert "gw1-2" in said(report) and ", leaf " in said(report)


def test_a_log_that_nobody_named(data: Path, tmp_path: Path) -> None:
    """A log that is not a member, and a second copy of one that is, are named."""
    shutil.copytree(data / "workers" / "1", data / "workers" / "3")
    report = verify(data)
    assert report.status == 1 and "hold the same log" in said(report)
    shutil.rmtree(data / "workers" / "3")
    stranger = opened(data, 4)
    stranger.close()
    report = verify(data)
    assert report.status == 1 and "does not name" in said(report) and "gw1-4" in said(report)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda number, log: session(log, f"r-{number}", gid="g_2"), "was not given before"),
        (lambda number, log: session(log, f"r-{number}", act="u_2"), "was not given before"),
        (lambda number, log: session(log, "same"), "is in another log too"),
        (lambda number, log: log.append("grant.activated", {"gid": "g_3"}) and None, "has no place in the log"),
    ],
    ids=["grant of nobody", "another identity", "one session in two logs", "authority of its own"],
)
def test_workers_rest_on_the_gateways_log(data: Path, work: Callable[[int, Log], None], words: str) -> None:
    """What a worker does needs authority that the gateway's own log gave."""
    gateway(data, work)
    report = verify(data)
    assert report.status == 1 and words in said(report)


def test_an_approval_is_in_no_log_of_a_worker(data: Path) -> None:
    """Who may use it is decided in one place, so that it is used once."""

    def ask(number: int, log: Log) -> None:
        common: dict[str, Json] = {"sid": f"a-{number}", "sub": "u_1", "act": ["u_1"]}
        log.append("session.start", {**common, "n": 1, "res": "shop", "gid": "g_1", "jti": "tk_1"})
        log.append("approval.requested", {**common, "n": 2, "ap": "ap_1", "of": [], "dg": "d", "need": []})
        log.append("session.end", {**common, "n": 3, "total": 3, "reason": "agent_left", "rec": {}})

    gateway(data, ask)
    report = verify(data)
    assert report.status == 1 and "approval.requested has no place in the log of a worker" in said(report)


@pytest.mark.parametrize(("later", "said_so"), [(0, False), (11, True)])
def test_what_is_released_rests_on_a_use_before_it(later: int, said_so: bool) -> None:
    """A worker lets go only what the gateway's own log had let go by then (10 s either way)."""
    now, found = 10**15, list[str]()
    authority = Authority()
    own = Population(lambda _, __, sentence, ___=-1: found.append(sentence), authority)
    people: list[dict[str, Json]] = [{"k": "identity.bound", "sub": "u_2", "groups": ["dba"]}]
    need: list[Json] = [{"groups": ["dba"], "count": 1}]
    asked: dict[str, Json] = {"ap": "ap_1", "dg": "d"}
    steps: list[dict[str, Json]] = [
        {"k": "approval.requested", **asked, "act": ["u_1"], "need": need, "exp": 2**52},
        {"k": "approval.granted", **asked, "by": "u_2", "exp": 2**52},
        {"k": "approval.used", **asked, "ses": "s", "t": now + later * 10**6},
    ]
    common: dict[str, Json] = {"v": 1, "b": "boot", "m": 0, "t": now}
    for index, leaf in enumerate([{"k": "log.genesis"}, *people, *steps]):
        own.feed(index, {**common, "i": index, **leaf})
    worker = Population(lambda _, __, sentence, ___=-1: found.append(sentence), authority, "gw1-1")
    session_of: dict[str, Json] = {"sid": "s", "act": ["u_1"]}
    for index, leaf in enumerate(
        [
            {"k": "log.genesis"},
            {"k": "session.start", **session_of, "n": 1},
            {"k": "op.intent", **session_of, "n": 2, "req": "hold"},
            {"k": "op.released", **session_of, "n": 3, **asked, "of": [2]},
        ]
    ):
        worker.feed(index, {**common, "i": index, **leaf})
    assert any("used for it only later" in sentence for sentence in found) == said_so, found


def test_another_key_does_not_join(data: Path) -> None:
    """The key of a member is pinned by the gateway's log."""
    own = opened(data)
    members = Members(own)
    with pytest.raises(IntegrityError, match="another key"):
        asyncio.run(members.join("example.org/gw/gw1-1/2026", own.vkey))
    own.close()


def test_reading_all_logs(data: Path) -> None:
    """A session is found where its keys are, and read up to the checkpoint."""
    own = opened(data)
    library = Library(own)
    logs = asyncio.run(library.all())
    assert set(logs) == {0, 1, 2}
    for number in (1, 2):
        sealed = logs[number]
        assert isinstance(sealed, SealedLog) and len(list(sealed.leaves(0, 999))) == sealed.size > 8
        assert f'"s-{number}"'.encode() in b"".join(sealed.leaves(0, sealed.size))
        (data / "workers" / str(number) / "keys" / f"s-{number}.agent.age").touch()
        assert asyncio.run(library.of_session(f"s-{number}")).directory == sealed.directory
        with pytest.raises(IndexError):
            sealed.leaf(sealed.size)
    assert library.worker_of("elsewhere") == 0
    own.close()
