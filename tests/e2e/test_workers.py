"""Two workers and their supervisor: whichever worker a thing reaches, the answer is the gateway's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from gateway import Gateway
from servers import Postgres

from .conftest import TAGS, shop

BULK = "update orders set total = total + 0"
Agent = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def pair(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with two workers; whatever the tests did to it, all its logs verify in the end."""
    directory = tmp_path_factory.mktemp("workers")
    gateway = Gateway(directory / "gw", shop(postgres, "shop_workers"), tags=TAGS, workers=2)
    gateway.start().people()
    yield gateway
    assert gateway.stop() == 0
    assert gateway.verify() == 0


@pytest.fixture
def both(pair: Gateway) -> Iterator[dict[int, Agent]]:
    """A session in each worker."""
    with ExitStack() as stack:
        yield one_in_each(pair, stack)


def one_in_each(gateway: Gateway, stack: ExitStack) -> dict[int, Agent]:
    """Connect until every worker has a session; the kernel chooses by a hash of the ports."""
    found: dict[int, Agent] = {}
    end = time.monotonic() + 60
    while len(found) < 2:
        assert time.monotonic() < end, f"only {set(found)} were reached"
        try:
            agent = stack.enter_context(psycopg.connect(gateway.dsn(gateway.token()), autocommit=True))
        except psycopg.OperationalError:
            time.sleep(0.1)  # a worker is being replaced
            continue
        found.setdefault(worker_of(gateway, agent), agent)
    return found


def sid_of(gateway: Gateway, agent: Agent) -> str:
    """The session of a connection, as the upstream was told."""
    row = agent.execute("select current_setting('application_name')").fetchone()
    assert row is not None
    return str(row[0]).removeprefix("tidegate:")


def worker_of(gateway: Gateway, agent: Agent) -> int:
    """The worker that has a connection's session."""
    return int(gateway.call("GET", f"sessions/{sid_of(gateway, agent)}", "alice")["worker"])


def processes(gateway: Gateway) -> dict[int, int]:
    """Process ids of the workers by number."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "tidegate.app.worker" in words and str(gateway.directory / "tidegate.yaml") in words:
            found[int(words[-3])] = int(path.parent.name)
    return found


def until(true: Callable[[], object]) -> None:
    """Wait for a fact, at most 60 seconds."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def dead(agent: Agent) -> str:
    """What a connection says that must not work any more."""
    with pytest.raises(psycopg.Error) as caught:
        agent.execute("select 1")
    return str(caught.value)


def test_the_list_has_everybody(pair: Gateway, both: dict[int, Agent]) -> None:
    """The API and the log show sessions of every worker, and which worker has them."""
    live = pair.call("GET", "sessions?state=live", "alice")["items"]
    assert {each["worker"] for each in live} == {1, 2}
    for number, agent in both.items():
        agent.execute("select 40 + 2")
        sid = sid_of(pair, agent)
        told = pair.call("GET", f"sessions/{sid}/replay", "alice")["operations"]
        assert "select 40 + 2" in [each["statement"] for each in told]
        leaf = told[0]["leaf"]
        shown = pair.call("GET", f"audit/leaves/{leaf}?worker={number}", "alice")
        assert shown["leaf"]["sid"] == sid and "stmt" in shown["opened"]
    tail = pair.call("GET", "audit/leaves?kind=op.intent&limit=100", "alice")["items"]
    assert {leaf["gw"] for leaf in tail} == {"gw1-1", "gw1-2"}
    assert sorted((leaf["t"] for leaf in tail), reverse=True) == [leaf["t"] for leaf in tail]


def test_kill(pair: Gateway, both: dict[int, Agent]) -> None:
    """A session ends whichever worker has it, and the other one's goes on."""
    first, second = both[1], both[2]
    pair.call("POST", f"sessions/{sid_of(pair, first)}/kill", "alice", reason="stop")
    assert "stop" in dead(first)
    assert second.execute("select 1").fetchone() == (1,)
    sid = sid_of(pair, second)
    pair.call("POST", f"sessions/{sid}/kill", "alice", reason="enough")
    assert "enough" in dead(second)


def test_revoke(pair: Gateway) -> None:
    """A revoked token ends its sessions in every worker before the call returns, and opens none in any."""
    with ExitStack() as stack:
        minted = pair.minted()
        dsn = pair.dsn(minted["token"])
        agents = [stack.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in range(12)]
        assert {worker_of(pair, agent) for agent in agents} == {1, 2}
        pair.call("DELETE", f"tokens/{minted['id']}", "alice")
        for agent in agents:
            assert "revoked" in dead(agent)
        for _ in range(12):
            with pytest.raises(psycopg.OperationalError, match="revoked"):
                psycopg.connect(dsn)


def test_disable(pair: Gateway) -> None:
    """A disabled agent's sessions end in every worker."""
    pair.call("POST", "agents", "alice", name="short-lived")
    with ExitStack() as stack:
        dsn = pair.dsn(pair.token(agent="short-lived"))
        agents = [stack.enter_context(psycopg.connect(dsn, autocommit=True)) for _ in range(6)]
        pair.call("POST", "agents/short-lived/disable", "alice")
        for agent in agents:
            assert "disabled" in dead(agent)


def test_cancel(pair: Gateway, both: dict[int, Agent]) -> None:
    """Every single cancel request works, whichever worker the kernel gives it to."""
    for agent in both.values():
        sid = sid_of(pair, agent)
        for _ in range(8):
            with ThreadPoolExecutor() as pool:
                sleeping = pool.submit(lambda agent=agent: agent.execute("select pg_sleep(20)"))
                until(lambda sid=sid: _state(pair, sid) == "busy")
                agent.cancel()
                with pytest.raises(psycopg.errors.QueryCanceled):
                    sleeping.result()


def test_approvals(pair: Gateway, both: dict[int, Agent]) -> None:
    """What is held in any worker is listed, shown, approved and refused; the history knows it afterwards."""
    for number, agent in both.items():
        for verb in ("approve", "refuse"):
            with ThreadPoolExecutor() as pool:
                answer = pool.submit(lambda agent=agent: agent.execute(BULK).statusmessage)
                until(lambda: pair.call("GET", "approvals", "bob")["items"])
                (held,) = pair.call("GET", "approvals", "bob")["items"]
                assert pair.call("GET", f"approvals/{held['id']}", "bob")["statement"] == BULK
                own = httpx2.post(
                    f"{pair.url}/api/v1/approvals/{held['id']}/approve",
                    headers={"authorization": f"Bearer {pair.logins['alice']}"},
                )
                assert own.status_code == 403, "the worker knows who asks, and that they may not"
                said = {"reason": "no"} if verb == "refuse" else {}
                pair.call("POST", f"approvals/{held['id']}/{verb}", "bob", **said)
                if verb == "approve":
                    assert answer.result(20) == "UPDATE 1000"
                else:
                    with pytest.raises(psycopg.Error, match="no"):
                        answer.result(20)
            until(lambda id=held["id"]: pair.call("GET", f"approvals/{id}", "alice")["state"] in ("used", "rejected"))
            past = pair.call("GET", f"approvals/{held['id']}", "alice")
            assert past["statement"] == BULK, f"worker {number}"


def test_a_redefinition_reaches_every_worker(pair: Gateway, both: dict[int, Agent], postgres: Postgres) -> None:
    """From the moment one worker forwards what may redefine objects, no session of another trusts a view."""
    postgres.psql("create view open_view as select id, city as shown from customers", "shop_workers")
    for definer, reader in ((both[1], both[2]), (both[2], both[1])):
        until(lambda reader=reader: shown(reader) == {"Oslo", "Lima", "Pune"})
        with definer.transaction():
            definer.execute("create table scratch (x int)")
            postgres.psql(
                "create or replace view open_view as select id, email as shown from customers", "shop_workers"
            )
            assert not any("@" in value for _ in range(20) for value in shown(reader))
        assert not any("@" in value for _ in range(20) for value in shown(reader))
        postgres.psql("drop table scratch", "shop_workers")
        postgres.psql("create or replace view open_view as select id, city as shown from customers", "shop_workers")


def shown(agent: Agent) -> set[str]:
    """What a session sees through the view; nothing, when it is refused what is not proven."""
    try:
        return {str(row[0]) for row in agent.execute("select shown from open_view").fetchall()}
    except psycopg.errors.InsufficientPrivilege:
        return set()


def test_shared_limit(postgres: Postgres, tmp_path: Path) -> None:
    """The number of sessions is counted over all workers, and a place is free again when its session ends."""
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_places"), workers=2, limits={"sessions": "4"})
    gateway.start().people()
    dsn = gateway.dsn(gateway.token())
    with ExitStack() as stack:
        agents = [stack.enter_context(psycopg.connect(dsn)) for _ in range(4)]
        for _ in range(4):
            with pytest.raises(psycopg.OperationalError, match="no room"):
                psycopg.connect(dsn)
        agents[0].close()
        until(lambda: len(gateway.call("GET", "sessions?state=live", "alice")["items"]) == 3)
        stack.enter_context(psycopg.connect(dsn))
    assert gateway.stop() == 0 and gateway.verify() == 0


def test_a_killed_worker_is_replaced(pair: Gateway) -> None:
    """Its clients see a closed connection, the others nothing; its intents are closed, and new sessions find it."""
    with ExitStack() as stack:
        both = one_in_each(pair, stack)
        sid = sid_of(pair, both[1])
        before = processes(pair)
        with ThreadPoolExecutor() as pool:
            sleeping = pool.submit(both[1].execute, "select pg_sleep(60)")
            until(lambda: _state(pair, sid) == "busy")
            os.kill(before[1], signal.SIGKILL)
            with pytest.raises(psycopg.OperationalError):
                sleeping.result(20)
        assert both[2].execute("select 1").fetchone() == (1,)
        until(lambda: processes(pair).get(1, before[1]) != before[1])
        (lost, *_) = pair.call("GET", "audit/leaves?kind=worker.lost", "alice")["items"]
        assert (lost["worker"], lost["status"]) == (1, -9) and lost["sessions"] >= 1
        again = one_in_each(pair, stack)
        assert again[1].execute("select 1").fetchone() == (1,)
        outcomes = pair.call("GET", f"sessions/{sid}/replay", "alice")["operations"]
        assert outcomes[-1]["outcome"]["status"] == "indeterminate"


def _state(gateway: Gateway, sid: str) -> str:
    return str(gateway.call("GET", f"sessions/{sid}", "alice")["state"])


def test_a_worker_that_does_not_answer_is_killed(pair: Gateway) -> None:
    """A revocation waits for every worker; one that stands still is ended before the call returns."""
    minted = pair.minted()
    before = processes(pair)
    os.kill(before[2], signal.SIGSTOP)
    pair.call("DELETE", f"tokens/{minted['id']}", "alice")
    assert not Path(f"/proc/{before[2]}").exists() or processes(pair).get(2) != before[2]
    until(lambda: processes(pair).get(2, before[2]) != before[2])


def test_a_worker_that_starts_knows_what_was_revoked(pair: Gateway) -> None:
    """What was revoked before a worker began does not open a session in it."""
    minted = pair.minted()
    pair.call("DELETE", f"tokens/{minted['id']}", "alice")
    before = processes(pair)
    os.kill(before[1], signal.SIGKILL)
    until(lambda: processes(pair).get(1, before[1]) != before[1])
    with ExitStack() as stack:
        one_in_each(pair, stack)
    for _ in range(12):
        with pytest.raises(psycopg.OperationalError, match="revoked"):
            psycopg.connect(pair.dsn(minted["token"]))


def test_without_the_supervisor_nothing_goes_on(postgres: Postgres, tmp_path: Path) -> None:
    """When the supervisor is killed its workers end their sessions and themselves; the next start finds order."""
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_orphans"), workers=2)
    gateway.start().people()
    with ExitStack() as stack:
        both = one_in_each(gateway, stack)
        gateway.kill()
        for agent in both.values():
            with pytest.raises(psycopg.OperationalError):
                agent.execute("select 1")
    until(lambda: not processes(gateway))
    assert gateway.verify() == 0
    gateway.start()
    assert psycopg.connect(gateway.dsn(gateway.token())).execute("select 1").fetchone() == (1,)
    assert gateway.stop() == 0 and gateway.verify() == 0


def test_a_supervisor_that_stands_still(postgres: Postgres, tmp_path: Path) -> None:
    """Workers that hear nothing of their supervisor end their sessions; when it goes on they are replaced."""
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_still"), workers=2)
    gateway.start().people()
    with ExitStack() as stack:
        both = one_in_each(gateway, stack)
        assert gateway.process is not None
        os.kill(gateway.process.pid, signal.SIGSTOP)
        for agent in both.values():
            until(lambda agent=agent: _ended(agent))
        os.kill(gateway.process.pid, signal.SIGCONT)
        one_in_each(gateway, stack)
    assert gateway.stop() == 0 and gateway.verify() == 0


def _ended(agent: Agent) -> bool:
    try:
        agent.execute("select 1")
    except psycopg.OperationalError as error:
        return "supervisor" in str(error) or agent.closed
    return False


@pytest.fixture(scope="module")
def finished(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """A gateway with two workers that was stopped."""
    gateway = Gateway(tmp_path_factory.mktemp("finished") / "gw", shop(postgres, "shop_finished"), workers=2)
    gateway.start().people()
    with ExitStack() as stack:
        for agent in one_in_each(gateway, stack).values():
            agent.execute("insert into log values ('evidence')")
    assert gateway.stop() == 0 and gateway.verify() == 0
    return gateway


def verified(data: Path) -> tuple[int, str]:
    """Exit status and words of the verifier as it ships, one file of standard library."""
    script = Path(__file__).parents[2] / "src" / "tidegate" / "audit" / "verify.py"
    done = subprocess.run([sys.executable, "-I", str(script), str(data)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_removed_log_is_named(finished: Gateway, tmp_path: Path) -> None:
    """Taking a worker's directory away does not take its sessions out of the evidence unseen."""
    copy = shutil.copytree(finished.data, tmp_path / "data")
    shutil.rmtree(copy / "workers" / "2")
    status, words = verified(copy)
    assert status == 1 and "example.org/gw/gw1-2" in words and "is missing" in words


def test_removed_recordings_are_named(finished: Gateway, tmp_path: Path) -> None:
    """Nor does taking away all that one worker recorded; a copy of the logs alone is only said not to prove it."""
    copy = shutil.copytree(finished.data, tmp_path / "data")
    shutil.rmtree(copy / "workers" / "2" / "rec")
    status, words = verified(copy)
    assert status == 3 and "FAIL recordings" in words and "is missing" in words
    shutil.rmtree(copy / "workers" / "1" / "rec")
    status, words = verified(copy)
    assert status == 0 and "There are no recordings here" in words
    assert "ok   recordings" not in words


def test_fewer_workers_leave_their_logs_in_evidence(finished: Gateway) -> None:
    """A gateway that goes back to one process keeps the logs of its workers as members, and still replays them."""
    finished.workers = 1
    finished.configure()
    finished.start()
    ended = finished.call("GET", "sessions", "alice")["items"]
    assert {each["worker"] for each in ended} == {1, 2}
    told = [finished.call("GET", f"sessions/{each['sid']}/replay", "alice")["operations"] for each in ended]
    assert any(operation["statement"].startswith("insert") for operations in told for operation in operations)
    assert finished.stop() == 0 and finished.verify() == 0
