"""The two leaves of an operation: its intent, before anything takes effect, and its outcome.

An intent names objects, decision and place in the recording, and commits to text, parameters and the facts that policy
looked at. Those facts are the same for every execution of a statement in a session, so they are sealed once: further
intents repeat the commitment and say under which leaf's index the opening lies (``dec.at``).
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Sequence

import orjson

from tidegate.audit.form import Form
from tidegate.masking.plan import Masking
from tidegate.model.event import Json
from tidegate.model.identity import Grant
from tidegate.model.operation import Operation, Outcome
from tidegate.model.resource import Resource

from .judgement import Judged
from .trail import Trail, readable

TAG = re.compile(r"[^A-Za-z0-9 ]")
"""What may not stand in an upstream's word of completion: it is the upstream's to choose."""

COLUMNS = 100
"""The most masked columns one leaf names; its size is limited."""

COUNTS = ("of", "rows", "bytes")
"""What an outcome counts: the intent it closes, rows, and their bytes."""

COMMON = 64
"""Characters of an outcome that has a form: longer ones are an upstream's whim."""

KEPT = 64
"""Forms of outcomes that one session keeps."""


class Progress:
    """One operation on its way: its intent, what it came to and what passed of its result."""

    def __init__(self, intent: int, judged: Judged) -> None:
        self.intent = intent
        self.judged = judged
        self.maskings: Sequence[Masking | None] = ()
        self.rows = 0
        self.size = 0
        self.masked: dict[str, int] | None = None


class Intents:
    """Writes the leaves of one session's operations."""

    def __init__(self, trail: Trail, resource: Resource, grant: Grant) -> None:
        self._trail = trail
        self._resource = resource
        self._grant = grant
        self._outcomes: dict[tuple[str, str, str], Form] = {}

    def intend(self, operation: Operation, judged: Judged, strictest: str, place: tuple[int, int]) -> int:
        """Stage an intent; ``strictest`` is the effect on the whole request. Gives the leaf's index."""
        statement = _statement(operation, judged)
        form = judged.forms.get((strictest, operation.phase))
        if form is None:
            fields = self._fields(operation, judged, strictest)
            if judged.sealed < 0:
                fields["rec"] = {"f": place[0], "o": place[1]}
                judged.sealed = self._trail.stage("op.intent", fields, {"stmt": statement, "dec": judged.committed})
                return judged.sealed
            known = {"dec": self._trail.commitment(judged.sealed, "dec", judged.committed)}
            form = self._trail.form("op.intent", fields, ("rec.f", "rec.o"), ("stmt",), known)
            judged.forms[strictest, operation.phase] = form
        return self._trail.stage_form(form, place, (("stmt", statement),))

    def close(self, progress: Progress, outcome: Outcome) -> None:
        """Stage an outcome."""
        counts = (progress.intent, progress.rows, progress.size)
        if progress.masked or len(outcome.tag) + len(outcome.code) > COMMON:
            fields = {
                **_outcome(outcome),
                **dict(zip(COUNTS, counts, strict=True)),
                "msk": _masked(progress.masked or {}),
            }
            self._trail.stage("op.outcome", fields)
            return
        told = (outcome.status, outcome.code, outcome.tag)
        form = self._outcomes.get(told)
        if form is None:
            if len(self._outcomes) >= KEPT:
                self._outcomes.clear()
            form = self._outcomes[told] = self._trail.form("op.outcome", _outcome(outcome), COUNTS)
        self._trail.stage_form(form, counts, ())

    def _fields(self, operation: Operation, judged: Judged, strictest: str) -> dict[str, Json]:
        said, decision = judged.facts, judged.decision
        basis: dict[str, Json] = {"e": decision.effect.value, "r": list(decision.rules), "ph": decision.bundle}
        if judged.sealed >= 0:
            basis["at"] = judged.sealed
        return {
            "res": self._resource.name,
            "gid": self._grant.id,
            "op": said.command[:200],
            "vb": said.verb.value,
            "ph": operation.phase,
            "eff": said.effect,
            "obj": _names(said.reads),
            "wr": _names(said.writes),
            "dec": basis,
            "req": strictest,
        }


def _statement(operation: Operation, judged: Judged) -> bytes:
    """Text and parameters, canonical; the text of a statement that runs again is kept as it was written."""
    text = operation.facts.text
    if judged.text is not text:
        judged.text, judged.written = text, orjson.dumps(text if text.isascii() else readable(text))
    return b'{"parameters":"%b","text":%b}' % (b2a_base64(operation.parameters, newline=False), judged.written)


def _outcome(outcome: Outcome) -> dict[str, Json]:
    return {"st": outcome.status, "code": outcome.code[:40], "tag": TAG.sub("", outcome.tag)[:64], "msk": []}


def _masked(masked: dict[str, int]) -> list[Json]:
    return [{"col": name[:200], "n": cells} for name, cells in sorted(masked.items())[:COLUMNS]]


def _names(objects: Sequence[str]) -> list[Json]:
    """At most 50 names: a leaf has a size limit, the full list is in the sealed facts."""
    return [name[:200] for name in objects[:50]]
