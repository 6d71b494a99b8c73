"""A policy file and the operation that is asked: the evaluator never raises, and never gives what no rule gives.

Input: a YAML policy, a line ``---``, and JSON facts of an operation. A policy that cannot be read is a ConfigError.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tidegate.errors import ConfigError
from tidegate.policy.judge import OPERATION_VERBS, judge
from tidegate.policy.rules import load_bundle, restore

FILE = Path(tempfile.gettempdir()) / f"tidegate-fuzz-{__import__('os').getpid()}.yaml"
DESCRIBED = {"verb": "read", "command": "select", "commands": ["select"], "secrets": False, "effect": False}
HOP = {"name": "alice", "subject": "u_1", "kind": "user", "groups": ["staff"]}
RESOURCE = {"name": "shop", "labels": {"env": "prod"}}
SHAPES: dict[str, type] = {"verb": str, "command": str, "effect": bool, "bulk": bool, "secrets": bool}
LISTS = ("verbs", "commands", "functions", "reads", "writes", "unresolved")


def asked(data: bytes) -> dict[str, Any]:
    """The operation: what the parser always gives, with whatever of the input has the parser's types."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        given = None
    operation: dict[str, Any] = dict(DESCRIBED)
    for name, value in given.items() if isinstance(given, dict) else ():
        if name in LISTS:
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        else:
            fits = isinstance(value, SHAPES.get(name, object))
        if fits and (name != "verb" or value in OPERATION_VERBS):
            operation[name] = value
    return operation


def target(data: bytes) -> None:
    """One policy and one operation."""
    policy, _, facts = data.partition(b"\n---\n")
    FILE.write_bytes(policy)
    try:
        bundle = load_bundle([FILE])
    except ConfigError:
        return
    finally:
        FILE.unlink()
    question = {"chain": [HOP], "resource": RESOURCE, "operation": asked(facts)}
    rules = {"rules": list(bundle.rules)}
    answer = judge(rules, question)
    assert answer == judge({"rules": rules["rules"][::-1]}, question), "the order of rules matters"
    assert answer == judge({"rules": list(restore(bundle.canonical).rules)}, question), "a stored bundle says otherwise"
    assert answer["effect"] in ("allow", "hold", "refuse")
    thens = {rule["then"] for rule in rules["rules"] if rule["id"] in answer["rules"]}
    assert answer["effect"] == "refuse" or answer["effect"] in thens, "nobody said so"
    json.dumps(answer)
