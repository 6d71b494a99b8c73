"""The policy in force, and who let it: what files say counts only once it was activated.

An activation is a leaf of the gateway's own log: the hashes of the policy and of the configuration, and how the next
may come about. In ``single-person`` mode whoever starts the gateway activates. In ``two-person`` mode somebody
proposes what the files say, and others approve its hash; nothing in a file or in the store changes that, the mode
included, since the log tells how it was. Until then the old policy stays in force, kept under its hash, and a
configuration that nobody approved serves no agent: the API alone runs, so that people can approve it, and not even that
if it says otherwise who people are. What was approved replaces exactly what it was compared with, or nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import orjson
import structlog
import yaml

from tidegate.audit.log import Log
from tidegate.document import parse
from tidegate.errors import ConfigError, IntegrityError, LogFailure, Refused
from tidegate.journal import surprise
from tidegate.model.approval import APPROVED, POLICY, Held, Question
from tidegate.model.event import Json
from tidegate.model.identity import Identity
from tidegate.model.verdict import Approvers
from tidegate.policy.engine import Engine
from tidegate.policy.rules import Bundle, load_bundle, restore
from tidegate.settings import Settings

from .register import Register
from .trail import sealed_json

logger = structlog.get_logger("tidegate.policy")

TWO = "two-person"
_ENTRANCE = ("login", "web", "workloads", "vault", "notify")
"""Sections by which people are known, and answer."""

_TERMS = ("mode", "need")
"""Fields of an activation: how the next may come about."""

WITHIN = 7 * 24 * 3600
"""Seconds that people have to approve a proposal."""

RULE = "tidegate.activation"
SHOWN = 512 * 1024
"""Characters of a difference that can be shown; a larger one cannot be approved."""


class Mandate:
    """Event loop only. ``adopt`` hands a policy to everything that judges by it, in every process."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        engine: Engine,
        register: Register,
        adopt: Callable[[Bundle], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._kept = settings.data / "policies"
        self._log = log
        self._engine = engine
        self._register = register
        self._adopt = adopt
        self._last: Mapping[str, Json] = {}
        self._activating: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self.refused: tuple[str, str] | None = None
        self.unlocked = asyncio.Event()

    @property
    def mode(self) -> str:
        """How the next activation may come about, by the last one."""
        return str(self._last.get("mode", ""))

    @property
    def configuration(self) -> str:
        """The SHA-256 of the configuration that is in force, in hex."""
        return str(self._last.get("cfg", ""))

    def begin(self, leaves: Iterable[Mapping[str, Json]]) -> None:
        """Put into force what may be at a start; ``leaves`` are the log's activations, oldest first. Blocks for
        a moment.

        Raises IntegrityError when what is in force is not kept any more, ConfigError when not even the API may run.
        """
        written, configuration = self._engine.bundle, self._keep_configuration(self._settings.content)
        self._keep(written)
        for leaf in leaves:
            if leaf.get("k") == "policy.activated":
                self._last = leaf
        asked = (written.sha256, configuration)
        if self.mode != TWO or asked == (self._last.get("ph"), self._last.get("cfg")):
            self._activated(written.sha256, configuration, "" if self.mode else "first")
            self.unlocked.set()
            return
        self.refused = asked
        self._log.append("policy.refused", {"ph": asked[0], "cfg": asked[1], "in": str(self._last.get("ph"))})
        self._engine.adopt(self.kept(str(self._last.get("ph"))))
        if configuration == self.configuration:
            self.unlocked.set()
        else:
            self._demand_same_entrance()
        logger.critical("policy.unapproved", policy=asked[0][:16], configuration=asked[1][:16], hint=_HOW)

    def kept(self, digest: str) -> Bundle:
        """See ``kept_bundle``."""
        return kept_bundle(self._kept, digest)

    # by people

    async def propose(self, by: Identity, reason: str) -> Held:
        """Ask people to put into force what the files say now. Raises Refused, ConfigError for files that are wrong."""
        if self.mode != TWO:
            raise Refused(
                "in single-person mode a policy is activated by a restart",
                hint="policy: {activation: two-person} in tidegate.yaml",
                code="policy.mode",
            )
        written, configuration = await asyncio.to_thread(self._read)
        if (written.sha256, configuration) == (self._engine.bundle.sha256, self.configuration):
            raise Refused("the files say what is in force already", code="policy.same")
        difference = await asyncio.to_thread(self._difference, written, configuration)
        if len(difference) > SHOWN:
            raise Refused("the change is too large to be shown", hint="Propose it in parts.", code="policy.large")
        question = self._question(by, reason, written, configuration, difference)
        self._log.append(
            "policy.proposed",
            {"ph": written.sha256, "cfg": configuration, "by": by.person.subject, "dg": question.digest},
            private={"why": reason.encode()},
        )
        held = await self._register.ask(question)
        self.heard(held, -1)  # approved just before an earlier process died
        return held

    def heard(self, held: Held, _: int) -> None:
        """A listener of the register: a proposal that was approved is activated."""
        if held.question.matter == POLICY and held.state == APPROVED:
            task = asyncio.get_running_loop().create_task(self._activate(held))
            self._activating.add(task)
            task.add_done_callback(self._activating.discard)

    async def _activate(self, held: Held) -> None:
        """The approval is used, the activation durable, and only then anybody judges by it."""
        try:
            async with self._one_at_a_time:
                await self._put_into_force(held)
        except (Refused, IntegrityError, LogFailure) as error:
            logger.critical("policy.not_activated", code=error.code, message=error.message)
        except Exception as error:
            surprise("policy.surprise", error, approval=held.id)

    async def _put_into_force(self, held: Held) -> None:
        bound = orjson.loads(held.question.bound)
        digest, configuration = str(bound["policy"]), str(bound["configuration"])
        if bound["from"] != [self._last.get("ph"), self._last.get("cfg")]:
            self._register.void(held.id, "something else has come into force since")
            return
        bundle = await asyncio.to_thread(self.kept, digest)
        await self._register.use(held.id, held.question.digest, "")
        self._activated(digest, configuration, "", held.id)
        self._register.withdraw_where(lambda question: question.matter == POLICY)
        await self._log.sync()
        self.refused = None
        await self._adopt(bundle)
        if configuration == self._running:
            self.unlocked.set()

    # inside

    def _demand_same_entrance(self) -> None:
        """Who approves must come in, and prove who they are, as the configuration in force says."""
        kept = self._kept / f"{self.configuration}.yaml"
        content = kept.read_bytes() if kept.is_file() else b""
        if hashlib.sha256(content).hexdigest() != self.configuration:
            raise _lost("configuration", self.configuration, self._kept)
        old, new = _entrance(kept, content), _entrance(self._settings.path, self._settings.content)
        changed = [name for name in _ENTRANCE if old[name] != new[name]]
        if changed:
            raise ConfigError(
                f"nobody approved that `{'`, `'.join(changed)}` say otherwise who people are, or how they are reached",
                path=str(self._settings.path),
                hint=f"Start with what {kept} holds, propose the change from there, and start anew once approved.",
                code="policy.unapproved",
            )

    @property
    def _running(self) -> str:
        """The SHA-256 of the configuration that this process was started with, approved or not."""
        return hashlib.sha256(self._settings.content).hexdigest()

    def _activated(self, digest: str, configuration: str, how: str, approval: str = "") -> None:
        """The leaf of an activation, with the terms of the next: those of this very configuration.

        If it is not the one that this process runs on, the old terms stay until a start reads the new ones.
        """
        terms = self._written() if configuration == self._running else {key: self._last[key] for key in _TERMS}
        fields: dict[str, Json] = {"ph": digest, "cfg": configuration, **terms}
        fields |= {"how": how} if how else {}
        fields |= {"ap": approval} if approval else {}
        self._log.append("policy.activated", fields)
        self._last = fields

    def _written(self) -> dict[str, Json]:
        settings = self._settings.policy
        return {"mode": settings.activation, "need": {"groups": list(settings.approvers), "count": settings.count}}

    def _question(self, by: Identity, reason: str, written: Bundle, configuration: str, difference: str) -> Question:
        need = self._last.get("need")
        terms: Mapping[str, Json] = need if isinstance(need, dict) else {}
        groups, count = terms.get("groups"), terms.get("count")
        named = tuple(str(name) for name in groups) if isinstance(groups, list) else ()
        approvers = Approvers(named or ("admins",), count if isinstance(count, int) else 1, RULE)
        bound = sealed_json(
            {
                "matter": POLICY,
                "policy": written.sha256,
                "configuration": configuration,
                "from": [self._engine.bundle.sha256, self.configuration],
                "by": by.person.subject,
            }
        ).decode()
        return Question(
            matter=POLICY,
            requester=by,
            resource="tidegate",
            statement=difference,
            parameters="",
            reason=reason,
            rule=RULE,
            because="A policy takes effect once somebody else has approved it.",
            approvers=(approvers,),
            within=WITHIN,
            bound=bound,
            digest=hashlib.sha256(bound.encode()).hexdigest(),
            bundle=self._engine.bundle.sha256,
        )

    def _read(self) -> tuple[Bundle, str]:
        written = load_bundle(self._settings.policy.files)
        self._keep(written)
        return written, self._keep_configuration(self._settings.path.read_bytes())

    def _keep(self, bundle: Bundle) -> None:
        """Keep a policy under its hash, so that any decision can be recomputed later."""
        _keep(self._kept / f"{bundle.sha256}.json", bundle.canonical)

    def _keep_configuration(self, content: bytes) -> str:
        """Keep a configuration under its hash (it holds references to secrets, no secrets); gives the hash."""
        digest = hashlib.sha256(content).hexdigest()
        _keep(self._kept / f"{digest}.yaml", content)
        return digest

    def _difference(self, written: Bundle, configuration: str) -> str:
        rules = _unified(_lines(self._engine.bundle), _lines(written), "policy in force", "policy proposed")
        old, new = self._configuration(self.configuration), self._configuration(configuration)
        return rules + _unified(old, new, "tidegate.yaml in force", "tidegate.yaml proposed")

    def _configuration(self, digest: str) -> list[str]:
        with contextlib.suppress(OSError):
            return (self._kept / f"{digest}.yaml").read_text(errors="replace").splitlines()
        return []


def kept_bundle(directory: Path, digest: str) -> Bundle:
    """A policy that was kept, by its SHA-256 in hex. Blocks. Raises IntegrityError."""
    try:
        content = (directory / f"{digest}.json").read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise _lost("policy", digest, directory)
    return restore(content)


def _entrance(path: Path, content: bytes) -> Mapping[str, object]:
    data = parse(path, content).data
    return {name: data.get(name) if isinstance(data, dict) else None for name in _ENTRANCE}


def _lost(what: str, digest: str, directory: Path) -> IntegrityError:
    return IntegrityError(
        f"the {what} in force, {digest[:16]}, is not in {directory} any more, or was altered",
        hint="Restore the directory from a backup.",
        code="policy.lost",
    )


_HOW = "What the files say is not in force: tidegate policy propose, then somebody else approves it."


def _lines(bundle: Bundle) -> list[str]:
    return [
        line
        for rule in bundle.rules
        for line in yaml.safe_dump([dict(rule)], sort_keys=True, allow_unicode=True).splitlines()
    ]


def _unified(old: Sequence[str], new: Sequence[str], before: str, after: str) -> str:
    return "".join(f"{line}\n" for line in difflib.unified_diff(old, new, before, after, lineterm="", n=3))


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.read_bytes() == content:
        return
    fresh = path.with_suffix(f".{os.getpid()}.new")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError as error:
        raise ConfigError(f"cannot keep the policy: {error.strerror}", path=str(path)) from error
