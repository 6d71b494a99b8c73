"""A gateway's inside on a real port, without its data path: log, store, issuer, policy, approvals, sessions and API.

Everything is the real part; only a statement's parser is a small stand-in that knows three kinds of statement.
``call`` runs a function on the gateway's loop, as its other parts do.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pyrage
import uvicorn

from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.clock import SystemClock
from tidegate.enforcement.access import Access
from tidegate.enforcement.approvals import Approvals, Held
from tidegate.enforcement.chronicle import Chronicle
from tidegate.enforcement.failures import Failures
from tidegate.enforcement.names import Names
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.session import Hold, Session
from tidegate.enforcement.sessions import Sessions
from tidegate.enforcement.trail import Trail
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer
from tidegate.model.identity import Grant
from tidegate.model.operation import Facts, Operation, Outcome, Request, Verb
from tidegate.model.resource import Field
from tidegate.policy.engine import Engine
from tidegate.policy.rules import load_bundle
from tidegate.recording.writer import Recorder
from tidegate.settings import load
from tidegate.store.rows import Store
from tidegate.web.api import ApiServices, build

T = TypeVar("T")

POLICY = """
rules:
  - {id: agents-connect, who: {groups: [agents]}, on: {resources: [shop]}, may: [connect], then: allow, for: 15m}
  - {id: staff-connect, who: {groups: [staff]}, on: {resources: [shop]}, may: [connect], then: allow, for: 8h}
  - {id: read-and-write, who: {groups: [agents, staff]}, may: [read, write, session], then: allow}
  - id: bulk-writes-need-approval
    may: [write]
    where: {unbounded: true}
    then: hold
    approvers: {groups: [approvers], count: 1}
    within: 15m
    because: "It changes every row."
  - {id: no-ddl, may: [define], then: refuse, because: "Through migrations only.", hint: "Open a change request."}
"""

CONFIG = """
organisation: example.org
gateway: gw1
data: ./data
api: 127.0.0.1:7443
policy: {files: [policy.yaml], activation: single-person}
recording: {auditors: [AUDITOR]}
resources:
  shop: {protocol: postgres, address: "127.0.0.1:5432", database: shop, user: gateway, secret: env:SHOP_PASSWORD}
  crm: {protocol: postgres, address: "127.0.0.1:5433", database: crm, user: gateway, secret: env:CRM_PASSWORD}
"""


class Tables:
    """What is known of the shop: one table without secrets."""

    always: Mapping[Field, str] = {}
    digest = b"tables"

    def family(self, object: str) -> frozenset[str]:
        return frozenset({object})

    def reach(self, object: str) -> frozenset[str]:
        return frozenset()

    def has(self, field: Field) -> bool:
        return True

    def classify(self, text: str) -> tuple[Facts, ...]:
        head = text.split()[0].upper()
        verb = {"SELECT": Verb.READ, "UPDATE": Verb.WRITE, "DROP": Verb.DEFINE}.get(head, Verb.UNKNOWN)
        touched = ("public.orders",)
        return (
            Facts(
                verb,
                head.lower(),
                text,
                reads=touched if verb is Verb.READ else (),
                writes=() if verb is Verb.READ else touched,
                effect=verb is not Verb.READ,
                outputs=(),
                filters=frozenset(),
                details={"unbounded": " WHERE " not in text},
            ),
        )


class World:
    """Start with ``with``; ``url`` is the API's address."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.auditor = pyrage.x25519.Identity.generate()
        self.replay = pyrage.x25519.Identity.generate()
        (directory / "policy.yaml").write_text(POLICY)
        (directory / "tidegate.yaml").write_text(CONFIG.replace("AUDITOR", str(self.auditor.to_public())))
        self.settings = load(directory / "tidegate.yaml")
        self._logins: dict[str, str] = {}

    def __enter__(self) -> World:
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._up.wait(30)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        self.http = httpx2.Client(base_url=f"{self.url}/api/v1", trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(30)

    async def _run(self) -> None:
        self._open()
        self.log.start()
        config = uvicorn.Config(build(self.services), port=0, log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        indexing = asyncio.create_task(self.chronicle.run())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        self._loop = asyncio.get_running_loop()
        self._up.set()
        await serving
        indexing.cancel()
        await self.log.stop("stopped")
        self.store.close()

    def _open(self) -> None:
        data, self.clock = self.settings.data, SystemClock()
        recipients = Recipients((str(self.replay.to_public()),), self.settings.recording.auditors)
        self.log = Log.open(
            data, organisation="example.org", gateway="gw1", clock=self.clock, recipients=recipients, segment=2**20
        )
        self.issuer = Issuer(data / "keys", "example.org", self.clock)
        self.store = Store(data / "store.sqlite", self.issuer)
        self.directory_ = Directory(self.store, self.clock)
        self.engine = Engine(load_bundle(self.settings.policy.files))
        self.chronicle = Chronicle(self.store)
        self.approvals = Approvals(self.log, self.clock, self.chronicle.approval)
        self.sessions = Sessions(self.log, self.clock, self.settings.limits, self.chronicle.session)
        self.access = Access(
            self.log, self.store, self.issuer, self.directory_, self.engine, self.clock,
            revocations=Revocations(self.log), sessions=self.sessions,
            failures=Failures(self.log, self.clock), resources=self.settings.resources,
        )  # fmt: skip
        self.code = self.access.bootstrap_code()
        self.services = ApiServices(
            log=self.log, store=self.store, issuer=self.issuer, directory=self.directory_, engine=self.engine,
            approvals=self.approvals, sessions=self.sessions, access=self.access, settings=self.settings,
            classify=self._classify, replay_identity=str(self.replay), clock=self.clock,
        )  # fmt: skip

    async def _classify(self, resource: str, text: str) -> tuple[Facts, ...]:
        return Tables().classify(text)

    # on the gateway's loop

    def call(self, function: Callable[[], T | Awaitable[T]]) -> T:
        """Run a function on the loop and wait for what it gives."""

        async def run() -> Any:
            found = function()
            return await found if isinstance(found, Awaitable) else found

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def kinds(self) -> list[str]:
        """The kinds of all leaves so far."""
        return [leaf["k"] for leaf in self.leaves()]

    def leaves(self, kind: str = "") -> list[dict[str, Any]]:
        """The leaves of a kind, oldest first."""
        return [leaf for leaf in self.call(lambda: list(self.log.recent(0)))[::-1] if kind in ("", leaf["k"])]

    # people

    def login(self, name: str, *groups: str) -> str:
        """A login token; the first is root's, by the bootstrap code, and root adds everybody else."""
        if "root" not in self._logins:
            answer = self.http.post("/bootstrap", json={"code": self.code, "name": "root"})
            self._logins["root"] = answer.json()["token"]
        if name not in self._logins:
            added = self.post("/people", "root", {"name": name, "groups": groups})
            answer = self.http.post("/enrol", json={"code": added.json()["code"]})
            self._logins[name] = answer.json()["token"]
        return self._logins[name]

    def get(self, path: str, by: str, **query: object) -> httpx2.Response:
        """GET as a person."""
        return self.http.get(path, headers=bearer(self.login(by)), params=query)

    def post(self, path: str, by: str, body: Mapping[str, object] | None = None) -> httpx2.Response:
        """POST as a person."""
        return self.http.post(path, headers=bearer(self.login(by)), json=body or {})

    def delete(self, path: str, by: str) -> httpx2.Response:
        """DELETE as a person."""
        return self.http.delete(path, headers=bearer(self.login(by)))

    def mint(self, by: str = "alice", **asked: object) -> httpx2.Response:
        """Mint a token for the shop as a person."""
        return self.post("/tokens", by, {"resource": "shop", **asked})

    def staff(self) -> None:
        """alice of the staff with her agent claude-code, bob the approver, and eve who is nobody."""
        self.login("alice", "staff")
        self.login("bob", "approvers")
        self.login("eve")
        assert self.post("/agents", "alice", {"name": "claude-code"}).status_code == 201

    # sessions

    def session(self, reason: str = "OPS-17") -> Session:
        """A live session of alice -> claude-code on the shop, opened with a fresh token."""
        minted = self.mint(agent="claude-code", reason=reason).json()
        return self.call(lambda: self._begin(minted))

    async def _begin(self, minted: Mapping[str, Any]) -> Session:
        claims = self.issuer.verify(minted["token"], "resource:shop")
        identity = self.directory_.identity(claims)
        row = self.store.grant(claims.grant)
        assert row is not None
        grant = Grant(row.id, row.subjects, row.resource, row.expires, row.rule, row.reason, row.leaf)
        sid: uuid.UUID = self.clock.session_id()
        vault = self.log.vault(sid)
        keys = {track: vault.frame_key(track) for track in ("agent", "upstream")}
        recorder = Recorder(sid, header={"sid": str(sid)}, keys=keys, write=self.log.append_chunk, clock=self.clock)
        trail = Trail(self.log, vault, recorder, identity, sid)
        session = Session(
            sid=sid, identity=identity, resource=self.settings.resources["shop"], grant=grant, token=claims.id,
            engine=self.engine, trail=trail, approvals=self.approvals, clock=self.clock, mask_key=bytes(32),
            reads_only=False, halted=lambda: None,
        )  # fmt: skip
        names: Names[Any] = Names(session.resource, _tables)
        await names.fresh()
        session.learn(names)
        trail.append("session.start", {"res": "shop", "gid": grant.id, "jti": claims.id})
        self.sessions.add(session)
        return session

    def ask(self, session: Session, text: str) -> object:
        """The verdict on a statement; an allowed one is answered with three rows at once."""

        def judged() -> object:
            operation = Operation(Tables().classify(text)[0])
            verdict = session.judge(Request(text.encode(), (operation,)))
            if not isinstance(verdict, Hold) and operation in session._progress:
                session.rows(operation, 3, 120, [])
                session.done(operation, Outcome("ok"))
            return verdict

        return self.call(judged)

    def hold(self, session: Session, text: str = "UPDATE orders SET status = 'x'") -> Held:
        """A held operation, waited for as its session does."""
        verdict = self.ask(session, text)
        assert isinstance(verdict, Hold)
        self.call(lambda: self._wait(session, verdict))
        return verdict.held

    async def _wait(self, session: Session, hold: Hold) -> None:
        self.waiting = asyncio.create_task(session.settle(hold))


async def _tables() -> Tables:
    return Tables()


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
