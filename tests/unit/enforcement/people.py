"""People, an agent and a question, for the tests of approvals."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from tidegate.model.approval import Held, Question
from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.proof import Proof
from tidegate.model.verdict import Approvers


def person(name: str, *groups: str, kind: Kind = Kind.USER, same: str = "") -> Identity:
    """A chain of one."""
    return Identity((Hop(f"u_{name}", name, kind, groups, same=same or f"u_{name}"),))


ALICE, BOB, CAROL, DAVE = (
    person("alice", "dba"),
    person("bob", "dba"),
    person("carol", "security"),
    person("dave", "dba", "security"),
)
AGENT = Hop("a_code", "code", Kind.AGENT, ("agents", "dba"), owner="u_alice")
PASSWORD = Proof("password", "c_1")
SSH = Proof("ssh", "c_2", b"signature", b"signed")


def question(**changes: Any) -> Question:
    """An update that one dba must approve within a minute."""
    bound = changes.pop("bound", '{"statement":"update t set x = 1"}')
    plain = Question(
        matter="operation", requester=Identity((ALICE.person, AGENT)), resource="shop",
        statement="update t set x = 1", parameters="", reason="OPS-1", rule="bulk", because="It changes all.",
        approvers=(Approvers(("dba",), 1, "bulk"),), within=60, bound=bound,
        digest=hashlib.sha256(bound.encode()).hexdigest(), bundle="b", sid="s1",
    )  # fmt: skip
    return replace(plain, **changes)


def held(**changes: Any) -> Held:
    """The question, asked at 0."""
    return Held("ap_1", question(**changes), 0, 60_000_000)
