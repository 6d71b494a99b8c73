"""The evidence of one session: leaves with an unbroken counter, and the recording.

Nothing here decides anything. Every leaf of a session carries its id, a counter that starts at 1 and has no gap, and
the subjects of the chain; names, addresses and statement texts go into sealed compartments.
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Mapping, Sequence

import orjson

from tidegate.audit.form import Form
from tidegate.audit.log import Log
from tidegate.audit.seal import Vault
from tidegate.model.event import Json
from tidegate.model.identity import Identity
from tidegate.recording.writer import Recorder

SEAL_EVERY = 1_000_000
"""Microseconds between two leaves that pin the recording's frames."""


class Trail:
    """Appends a session's leaves and records its bytes; synchronous, event loop only."""

    def __init__(self, log: Log, vault: Vault, recorder: Recorder, identity: Identity, sid: uuid.UUID) -> None:
        self._log = log
        self._vault = vault
        self._recorder = recorder
        self._sealed = 0
        self.count = 0
        self.sid = str(sid)
        self._common: dict[str, Json] = {
            "sid": self.sid,
            "sub": identity.person.subject,
            "act": [hop.subject for hop in identity.chain],
        }

    @property
    def written(self) -> int:
        """Everything of this session up to here has reached the kernel."""
        return self._log.written

    @property
    def staged(self) -> int:
        """The number that the last staged record has once it is written."""
        return self._log.staged

    def append(self, kind: str, fields: Mapping[str, Json], private: Mapping[str, bytes] | None = None) -> int:
        """One leaf, in the kernel when its index is given. Raises LogFailure."""
        index = self.stage(kind, fields, private)
        self._log.flush()
        return index

    async def durable(self) -> None:
        """Everything of this session so far is on disk on return. Raises LogFailure."""
        await self._log.sync()

    def stage(self, kind: str, fields: Mapping[str, Json], private: Mapping[str, bytes] | None = None) -> int:
        """One leaf, in the kernel with the next that is appended, with what is recorded next, or by ``flush``."""
        self.count += 1
        return self._log.stage(kind, {**self._common, "n": self.count, **fields}, private=private, vault=self._vault)

    def form(
        self,
        kind: str,
        fields: Mapping[str, Json],
        slots: Sequence[str],
        private: Sequence[str] = (),
        commitments: Mapping[str, str] | None = None,
    ) -> Form:
        """A leaf of this session to be staged many times; ``commitments`` are those that never change."""
        return self._log.form(kind, {**self._common, **fields}, ("n", *slots), private, commitments or {})

    def stage_form(self, form: Form, numbers: tuple[int, ...], private: tuple[tuple[str, bytes], ...]) -> int:
        """As ``stage``, with the numbers and compartments that the form leaves open, in its order."""
        self.count += 1
        return self._log.stage_form(form, (self.count, *numbers), private, self._vault)

    def flush(self) -> int:
        """What was staged has reached the kernel; up to which record everything has. Raises LogFailure."""
        self._log.flush()
        return self._log.written

    def commitment(self, index: int, compartment: str, plaintext: bytes) -> str:
        """The commitment that the leaf at ``index`` has, so that others can refer to it."""
        return b64encode(self._vault.commit(index, compartment, plaintext)[0]).decode()

    def place(self) -> tuple[int, int]:
        """Where in the recording the next bytes of the agent will stand: frame and offset."""
        return self._recorder.position()

    def request(self, raw: bytes, forwarded: bytes) -> None:
        """Record what the agent sent and what of it goes upstream; staged with its leaves."""
        self._recorder.request(raw, forwarded)
        self._recorder.flush()

    def response(self, received: bytes, delivered: bytes) -> None:
        """Record what the upstream sent and what the agent gets; staged with its leaves."""
        self._recorder.response(received, delivered)
        self._recorder.flush()

    def note(self, body: Mapping[str, Json]) -> None:
        """A remark in the recording, such as what was decided."""
        self._recorder.event(body)

    def seal(self, now: int) -> None:
        """Pin the recording's frames by a leaf, at most once in ``SEAL_EVERY``."""
        if now - self._sealed >= SEAL_EVERY:
            self._sealed = now
            for track, (frames, root) in self._recorder.seals().items():
                self.stage("rec.seal", {"track": track, "frames": frames, "root": root})

    def end(self, reason: str, totals: Mapping[str, Json]) -> None:
        """The session's last leaf: final roots of the recording and the number of its leaves."""
        roots: dict[str, Json] = {
            track: {"frames": frames, "root": root} for track, (frames, root) in self._recorder.close(reason).items()
        }
        self.append("session.end", {"reason": reason, "rec": roots, "total": self.count + 1, **totals})


def sealed_json(body: Mapping[str, object]) -> bytes:
    """Canonical bytes for a sealed compartment."""
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def readable(text: str) -> str:
    """A statement's text with the bytes that are not UTF-8 written as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
