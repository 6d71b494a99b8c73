"""A gateway's inside on a real port, without its data path: log, store, issuer, policy, approvals, sessions and API.

Everything is the real part; only a statement's parser is a small stand-in that knows three kinds of statement.
``call`` runs a function on the gateway's loop, as its other parts do.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pyrage
import uvicorn
from argon2.profiles import CHEAPEST

from forge import Signer, key_set
from tidegate.audit.library import Library
from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.clock import SystemClock
from tidegate.enforcement.access import BROWSER, Access
from tidegate.enforcement.accounts import Accounts
from tidegate.enforcement.admission import Admission
from tidegate.enforcement.buttons import Buttons
from tidegate.enforcement.chronicle import Chronicle
from tidegate.enforcement.credentials import Credentials
from tidegate.enforcement.custody import Custody
from tidegate.enforcement.emergencies import Emergencies
from tidegate.enforcement.enrolled import Enrolled
from tidegate.enforcement.enrolment import Enrolment
from tidegate.enforcement.exchange import Exchange
from tidegate.enforcement.failures import Failures
from tidegate.enforcement.federation import Federation
from tidegate.enforcement.grants import Grants
from tidegate.enforcement.kill import KillSwitch
from tidegate.enforcement.links import Links
from tidegate.enforcement.mandate import Mandate
from tidegate.enforcement.names import Names
from tidegate.enforcement.parties import Parties
from tidegate.enforcement.register import Register
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.session import Hold, Session
from tidegate.enforcement.sessions import Order, Sessions
from tidegate.enforcement.standing import Standing
from tidegate.enforcement.trail import Trail
from tidegate.errors import AgentError
from tidegate.identity.assertions import Assertions
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer
from tidegate.identity.passwords import Passwords
from tidegate.identity.providers import Provider
from tidegate.identity.throttle import Throttle
from tidegate.identity.workloads import Workloads
from tidegate.model.approval import Held
from tidegate.model.identity import Grant, Identity
from tidegate.model.impact import Attempt, Impact
from tidegate.model.operation import Facts, Operation, Outcome, Request, Verb
from tidegate.model.resource import Field
from tidegate.notify.channels import channels, clicks
from tidegate.notify.notifier import Notifier
from tidegate.notify.outbox import Outbox
from tidegate.operations.sql_reading import reading
from tidegate.operations.sql_redaction import redacted
from tidegate.policy.engine import Engine
from tidegate.policy.rules import Bundle, load_bundle
from tidegate.recording.writer import Recorder
from tidegate.settings import Settings, load, resolve
from tidegate.settings_login import Oidc
from tidegate.store.box import Box
from tidegate.store.rows import Store
from tidegate.store.secrets import Safe
from tidegate.web.api import ApiServices, build
from tidegate.web.browser.cookies import VISIT
from tidegate.web.browser.visits import LIFE

T = TypeVar("T")

PORT = 7443
ORIGIN = f"http://localhost:{PORT}"
"""Where browsers would find the pages."""

PASSWORD = "river anvil 91 sparrow"
PROVEN = ("/approve", "/refuse", "/people", "/code", "/links")
"""How paths end whose requests need a proof, beside those for tokens."""

BY_PASSWORD = {"method": "password", "password": PASSWORD}
"""Everybody's password, and the proof that it makes."""

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
listen: {postgres: "127.0.0.1:6432"}
policy: {files: [policy.yaml], activation: single-person}
recording: {auditors: [AUDITOR]}
workloads:
  k8s: {issuer: "https://k8s.example", audience: tidegate, keys: "file:keys.json"}
resources:
  shop: {protocol: postgres, address: "127.0.0.1:5432", database: shop, user: gateway, secret: env:SHOP_PASSWORD}
  crm: {protocol: postgres, address: "127.0.0.1:5433", database: crm, user: gateway, secret: env:CRM_PASSWORD}
"""


class Tables:
    """What is known of the shop: one table without secrets."""

    always: Mapping[Field, str] = {}
    digest = b"tables"
    steady = patterns = False

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
    """Start with ``with``; ``url`` is the API's address. With ``port`` it is where its configuration says."""

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        more: str = "",
        providers: Callable[[Settings], Mapping[str, Provider]] | None = None,
    ) -> None:
        self.directory = directory
        self._port = port
        self.auditor = pyrage.x25519.Identity.generate()
        self.replay = pyrage.x25519.Identity.generate()
        (directory / "policy.yaml").write_text(POLICY)
        (directory / "tidegate.yaml").write_text(
            CONFIG.replace("AUDITOR", str(self.auditor.to_public())).replace("7443", str(port or PORT)) + more
        )
        self.settings = load(directory / "tidegate.yaml")
        self.cluster = Signer()
        (directory / "keys.json").write_text(json.dumps(key_set(self.cluster)))
        self.providers = dict(providers(self.settings)) if providers else {}
        self._logins: dict[str, str] = {}
        self.impact = Impact(unknown="nothing is known")
        self.attempts: list[tuple[str, Attempt, bool]] = []

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
        self.api = build(self.services)
        config = uvicorn.Config(self.api, port=self._port, log_config=None, lifespan="off")
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        indexing = asyncio.create_task(self.chronicle.run())
        granting = asyncio.create_task(self.grants.run())
        telling = asyncio.create_task(self.outbox.run())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        self._loop = asyncio.get_running_loop()
        self._up.set()
        await serving
        indexing.cancel()
        granting.cancel()
        telling.cancel()
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
        self.box = Box(bytes(32))
        self.chronicle = Chronicle(self.store, self.box)
        self.sessions = Sessions(self.log, self.clock, self.settings.limits, self.chronicle.session)
        self.revocations = Revocations(self.log.recent(0))
        self.directory_.watch(self.revocations.outdated)
        self.approvals = Register(self.log, self.clock, self.revocations)
        self.approvals.listen(self.chronicle.approval)
        failures = Failures(self.log, self.clock)
        throttle = Throttle(self.clock, failures.slowed)
        self.credentials = Credentials(
            self.log, self.clock,
            enrolled=Enrolled(self.log, self.store, self.box, self.clock, ()),
            directory=self.directory_, throttle=throttle, failures=failures,
            passwords=Passwords(CHEAPEST),
            address=self.settings.public, organisation="example.org",
            linked=lambda subject: bool(self.store.links(subject=subject)),
        )  # fmt: skip
        self.enrolment = Enrolment(self.credentials, self.clock, "example.org")
        self.grants = Grants(
            self.log, self.store, self.directory_, self.engine, self.approvals, self.clock,
            revocations=self.revocations, resources=self.settings.resources,
        )  # fmt: skip
        self.alarms: list[tuple[str, str]] = []
        self.emergencies = Emergencies(
            self.log, self.directory_, self.engine, self.clock, self.grants, resources=self.settings.resources,
            alarm=lambda code, title, _: self.alarms.append((code, title)), leaves=(),
        )  # fmt: skip
        self.access = Access(
            self.log, self.store, self.issuer, self.directory_, self.engine, self.clock,
            revocations=self.revocations, sessions=self.sessions,
            failures=failures, grants=self.grants, presents=_nobody,
            enrolment=self.enrolment, throttle=throttle,
        )  # fmt: skip
        self.links = Links(
            self.log, self.store, self.directory_, self.clock, issuers=self.settings.workloads,
            revocations=self.revocations, sessions=self.sessions, operates=self.access.operates,
        )  # fmt: skip
        self.code = self.access.bootstrap_code()
        self.switch = self._switch()
        self.accounts = Accounts(
            self.log, self.store, self.directory_, self.clock,
            revocations=self.revocations, spread=self.sessions.end_of_token,
            operates=self.access.operates, join=self.access.join,
        )  # fmt: skip
        self.federation = Federation(
            self.providers, self.settings.login, self.settings.public,
            access=self.access, accounts=self.accounts, switch=self.switch, directory=self.directory_,
            failures=failures,
        )  # fmt: skip
        reach = channels(self.settings.notify, self._reads, self.clock, "example.org")
        self.outbox = Outbox(self.store, self.box, reach, self.clock, self.log.append)
        self.notifier = Notifier(
            self.outbox, self.settings.notify, self.clock, self.settings.public, lambda _, text: redacted(text)
        )
        self.approvals.listen(self.notifier.told)
        self.services = ApiServices(
            log=self.log, logs=Library(self.log),
            store=self.store, issuer=self.issuer, directory=self.directory_, engine=self.engine,
            approvals=self.approvals, sessions=self.sessions, access=self.access, switch=self.switch,
            federation=self.federation,
            mandate=self._mandate(),
            grants=self.grants, emergencies=self.emergencies,
            credentials=self.credentials, enrolment=self.enrolment,
            custody=Custody(self.log, Safe(self.store, self.box), self.engine, self.clock, self.settings.resources),
            links=self.links, exchange=self._exchange(),
            settings=self.settings,
            impact=self._impact, classify=self._classify, reading=lambda _, text: reading(text),
            replay_identity=str(self.replay), box=self.box, clock=self.clock,
            outbox=self.outbox, buttons=self._buttons(),
        )  # fmt: skip

    def _reads(self, text: str) -> Callable[[], Awaitable[str]]:
        """What reads a reference; in a test only of this machine."""

        async def read() -> str:
            return resolve(text, self.directory) if text else ""

        return read

    def _buttons(self) -> Buttons:
        async def whisper(channel: str, user: str, words: str) -> None:
            self.whispered.append((channel, user, words))

        self.whispered: list[tuple[str, str, str]] = []
        return Buttons(
            clicks(self.settings.notify, self._reads, self.clock), self.approvals, self.directory_, whisper,
            link_of=self.accounts.link_of, leaf=self.log.leaf, revocations=self.revocations,
            failures=Failures(self.log, self.clock), address=self.settings.public,
        )  # fmt: skip

    async def _impact(self, resource: str, attempt: Attempt, run: bool) -> Impact:
        self.attempts.append((resource, attempt, run))
        return self.impact

    async def _adopt(self, bundle: Bundle) -> None:
        self.engine.adopt(bundle)

    def _exchange(self) -> Exchange:
        workloads = Workloads(self.settings.workloads, self.store, self.clock, self.revocations)
        self.admission = Admission(
            issuer=self.issuer, directory=self.directory_, engine=self.engine, store=self.store, workloads=workloads,
            grants=Standing(self.log, self.store, self.engine, self.clock, self.revocations, self.grants),
            revocations=self.revocations, clock=self.clock,
        )  # fmt: skip
        providers = {name: each for name, each in self.settings.login.providers.items() if isinstance(each, Oidc)}
        parties = Parties(
            access=self.access, admission=self.admission, issuer=self.issuer, directory=self.directory_,
            workloads=workloads, assertions=Assertions(providers, self.clock),
            known=self.federation.accounts.known, revocations=self.revocations,
        )  # fmt: skip
        return Exchange(
            parties, self.access, self.directory_, self.engine, self.settings.resources, self.clock,
            failures=Failures(self.log, self.clock),
        )  # fmt: skip

    def _mandate(self) -> Mandate:
        found = Mandate(self.settings, self.log, self.engine, self.approvals, self._adopt)
        found.begin(())
        return found

    def _switch(self) -> KillSwitch:
        async def halt(order: Order) -> int:
            return self.sessions.halt(order)

        return KillSwitch(
            self.log, self.store, self.directory_, self.clock,
            revocations=self.revocations, sessions=self.sessions, halt=halt,
            withdraw=self.approvals.withdraw_where, resources=self.settings.resources,
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
            answer = self.http.post("/bootstrap", json={"code": self.code, "name": "root", "password": PASSWORD})
            self._logins["root"] = answer.json()["token"]
        if name not in self._logins:
            added = self.post("/people", "root", {"name": name, "groups": groups})
            answer = self.http.post("/enrol", json={"code": added.json()["code"], "password": PASSWORD})
            self._logins[name] = answer.json()["token"]
        return self._logins[name]

    def get(self, path: str, by: str, **query: object) -> httpx2.Response:
        """GET as a person."""
        return self.http.get(path, headers=bearer(self.login(by)), params=query)

    def post(self, path: str, by: str, body: Mapping[str, object] | None = None) -> httpx2.Response:
        """POST as a person, who proves that they are there where that is needed, unless ``body`` has a proof."""
        body = dict(body or {})
        if path.endswith(PROVEN) or (path == "/tokens" and not body.get("agent")):
            body.setdefault("proof", BY_PASSWORD)
        return self.http.post(path, headers=bearer(self.login(by)), json=body)

    def delete(self, path: str, by: str) -> httpx2.Response:
        """DELETE as a person."""
        return self.http.delete(path, headers=bearer(self.login(by)))

    def mint(self, by: str = "alice", **asked: object) -> httpx2.Response:
        """Mint a token for the shop as a person."""
        return self.post("/tokens", by, {"resource": "shop", **asked})

    def browser(self, name: str = "") -> httpx2.Client:
        """A browser at the pages, logged in as ``name`` unless that is empty; it follows no redirects."""
        client = httpx2.Client(base_url=self.url, trust_env=False, headers={"Origin": self.url})
        if name:
            client.cookies.set(VISIT, self.call(lambda: self._visit(name)))
        return client

    async def _visit(self, name: str) -> str:
        who = await self.access.chain(name)
        minted = await self.access.login(who, method="password", audience=BROWSER, ttl=LIFE)
        return self.api.state.site.visits.begin(minted)

    def password(self, name: str, password: str = PASSWORD) -> None:
        """Give somebody a password, as enrolling does."""
        who = self.call(lambda: self.access.chain(name)).person
        self.call(lambda: self.enrolment.start_over(who, password))

    def staff(self) -> None:
        """alice of the staff with her agent claude-code, bob the approver, and eve who is nobody."""
        self.login("alice", "staff")
        self.login("bob", "approvers")
        self.login("eve")
        assert self.post("/agents", "alice", {"name": "claude-code"}).status_code == 201

    # sessions

    def workload(self, account: str, **changes: object) -> str:
        """The token of a service account, from the issuer k8s; None leaves a claim out."""
        now = self.clock.now() // 1_000_000
        body = {"iss": "https://k8s.example", "aud": "tidegate", "sub": account, "iat": now, "exp": now + 600}
        return self.cluster.token({name: value for name, value in (body | changes).items() if value is not None})

    def session(self, reason: str = "OPS-17", by: str = "alice") -> Session:
        """A live session of a person and their claude-code on the shop, opened with a fresh token."""
        minted = self.mint(by, agent="claude-code", reason=reason).json()
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
            engine=self.engine, trail=trail, desk=self.approvals, clock=self.clock, mask_key=bytes(32),
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
        return self.call(lambda: self._wait(session, verdict))

    async def _wait(self, session: Session, hold: Hold) -> Held:
        asked: asyncio.Future[Held] = asyncio.get_running_loop().create_future()

        async def same(_: Request) -> str:
            return "the same"

        self.waiting = asyncio.create_task(session.settle(hold, same, asked.set_result))
        return await asked


async def _nobody(token: str, resource: str) -> Identity:
    """No workload has a token here."""
    raise AgentError("the token is not signed by anybody known", code="token.signature")


async def _tables() -> Tables:
    return Tables()


def token_of(page: httpx2.Response) -> str:
    """The token of the forms on a page."""
    found = re.search(r'name="form" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found.group(1)


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
