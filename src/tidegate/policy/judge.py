"""The evaluator: a policy bundle and the facts of one operation in, a verdict out. JSON to JSON, pure.

Why alone: the offline verifier ships this file to recompute every verdict from the bundle and the facts committed in
the log, so it imports nothing but the standard library, keeps no state, and heeds no order of rules.

What holds always:
- Default deny. Refuse beats hold beats allow; a hold rule stands on its own (approved, the operation goes ahead).
- Each hop of the chain is judged as itself and needs a rule of its own for every verb of the operation: the rights of a
  chain are the intersection of its hops' rights. The strictest hop decides.
- A rule that gives (allow) must be proven to fit: every object, command and function has to match, a missing fact does
  not match. A rule that restricts (refuse, hold) fits if it could: any object, command or function is enough, and when
  part of the operation is unknown (verb ``unknown``, unresolved objects), a fact that is missing or a list that may be
  incomplete counts as matching. Verbs are compared as written: only ``may: [unknown]`` speaks of the unknown.
- What touches the upstream's own secrets needs a rule that says ``where: {secrets: true}``; what concerns the gateway
  itself (resource ``tidegate``) needs a rule that names it. Nothing wider gives either.
- Under a break-glass grant (fact ``emergency``) nobody is waited for, and a refusal whose rule says ``break_glass`` is
  lifted; every other refusal, and every mask and limit, stays.
- Verb ``session`` needs no rule of its own: who may do anything on the resource may also BEGIN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any

Rule = Mapping[str, Any]
Reach = dict[str, tuple[list[Rule], list[Rule]]]
"""The rules whose ``who`` and ``on`` fit one hop and one resource, by verb: those without and those with conditions."""
Fit = tuple[tuple[tuple[int, ...], ...], ...]
"""Which rules with conditions an operation meets: per hop, per verb asked, positions in ``Reach``."""

GATEWAY = "tidegate"
SESSION_RULE = "tidegate.session"
OPERATION_VERBS = ("read", "write", "define", "execute", "session", "administer", "unknown")
_LISTS = {"objects": ("reads", "writes"), "command": ("commands",), "functions": ("functions",)}


def judge(bundle: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict of ``bundle`` on ``facts``: effect, rules, reasons, masks, limits, and who answers in what time."""
    hops = [(hop["kind"], reach(bundle["rules"], hop, facts["resource"])) for hop in facts["chain"]]
    return settle(hops, facts["operation"], emergency=facts.get("emergency") is True)


def reach(rules: Iterable[Rule], hop: Mapping[str, Any], resource: Mapping[str, Any]) -> Reach:
    """The rules that speak of ``hop`` on ``resource``, by verb; independent of the operation."""
    found: Reach = {}
    for rule in rules:
        if not stranger(rule, hop, resource):
            for verb in rule["may"]:
                found.setdefault(verb, ([], []))["where" in rule].append(rule)
    return found


def stranger(rule: Rule, hop: Mapping[str, Any], resource: Mapping[str, Any]) -> str:
    """The first selector of ``rule`` that does not fit hop or resource (``who.groups`` ...), or an empty string."""
    who, on = rule.get("who", {}), rule.get("on", {})
    if "groups" in who and set(who["groups"]).isdisjoint(hop["groups"]):
        return "who.groups"
    if "subjects" in who and hop["name"] not in who["subjects"]:
        return "who.subjects"
    if "kinds" in who and hop["kind"] not in who["kinds"]:
        return "who.kinds"
    if "resources" in on and resource["name"] not in on["resources"]:
        return "on.resources"
    if rule["then"] == "allow" and resource["name"] == GATEWAY and "resources" not in on:
        return "on.resources"
    labels: Mapping[str, str] = resource["labels"]
    if any(labels.get(key) != value for key, value in on.get("labels", {}).items()):
        return "on.labels"
    return ""


def unmet(rule: Rule, operation: Mapping[str, Any]) -> str:
    """The first condition of ``rule`` that the operation does not meet (``where.objects`` ...), or an empty string."""
    for name, wanted in rule.get("where", {}).items():
        met = _listed(name, wanted, operation, rule) if name in _LISTS else _fact(name, wanted, operation, rule)
        if not met:
            return f"where.{name}"
    return ""


def _listed(name: str, wanted: Sequence[str], operation: Mapping[str, Any], rule: Rule) -> bool:
    given = [item for key in _LISTS[name] for item in operation.get(key) or ()]
    if rule["then"] != "allow":
        return any([_named(item, wanted) for item in given]) or not _complete(name, operation)
    for item in given:
        if not _named(item, wanted):
            return False
    if name == "command":
        return bool(given)
    # Touching nothing by name proves nothing about a call that may do anything, unless it is proven to have no effect.
    return _complete(name, operation) and (bool(given) or operation.get("effect") is False)


def _named(item: str, patterns: Sequence[str]) -> bool:
    if item in patterns:
        return True
    for pattern in patterns:  # noqa: SIM110 - a loop is twice as fast as any() over a generator, and this is hot
        if _matcher(pattern)(item):
            return True
    return False


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> Callable[[str], object]:
    return re.compile(translate(pattern)).match


def _complete(name: str, operation: Mapping[str, Any]) -> bool:
    return not _unknown(operation) and not (name == "objects" and operation.get("unresolved"))


def _fact(name: str, wanted: Sequence[Any], operation: Mapping[str, Any], rule: Rule) -> bool:
    gives = rule["then"] == "allow"
    if name not in operation:
        return not gives and _unknown(operation)
    given = operation[name]
    if not isinstance(given, (list, tuple)):
        return _among(given, wanted)
    hits = [_among(item, wanted) for item in given]
    return (bool(hits) and all(hits)) if gives else (any(hits) or _unknown(operation))


def _among(value: Any, wanted: Sequence[Any]) -> bool:
    for item in wanted:  # noqa: SIM110 - as above
        # In Python True equals 1; in JSON it does not.
        if type(value) is type(item) and value == item:
            return True
    return False


def verbs(operation: Mapping[str, Any]) -> list[str]:
    """Every verb of the operation; one without any counts as unknown."""
    main = operation.get("verb", "unknown")
    several = operation.get("verbs") or ()
    return list(several) if main in several else [main, *several]


def _unknown(operation: Mapping[str, Any]) -> bool:
    return operation.get("verb", "unknown") == "unknown" or "unknown" in operation.get("verbs", ())


def settle(
    hops: Sequence[tuple[str, Reach]], operation: Mapping[str, Any], *, emergency: bool = False
) -> dict[str, Any]:
    """The verdict when it is known which rules speak of each hop (its kind, its rules by verb)."""
    return combine(hops, *fitting(hops, operation), emergency=emergency)


def fitting(hops: Sequence[tuple[str, Reach]], operation: Mapping[str, Any]) -> tuple[tuple[str, ...], bool, Fit]:
    """All that ``combine`` needs to know of the operation: verbs, whether it touches secrets, and what it meets."""
    asked = tuple(verbs(operation))
    known: dict[str, bool] = {}
    fits = tuple(
        tuple(_met(found[verb][1], operation, known) if verb in found else () for verb in asked) for _, found in hops
    )
    return asked, operation.get("secrets") is not False, fits


def _met(rules: Sequence[Rule], operation: Mapping[str, Any], known: dict[str, bool]) -> tuple[int, ...]:
    positions = []
    for position, rule in enumerate(rules):
        name = rule["id"]
        if name not in known:
            known[name] = not unmet(rule, operation)
        if known[name]:
            positions.append(position)
    return tuple(positions)


def combine(
    hops: Sequence[tuple[str, Reach]], asked: tuple[str, ...], secrets: bool, fits: Fit, *, emergency: bool = False
) -> dict[str, Any]:
    """The verdict of the rules that match; it depends on nothing else, so it may be remembered by its arguments."""
    matched: dict[str, Rule] = {}
    lacking = "" if hops else "no one asks"
    lifted: set[str] | None = None
    lent = False
    for (kind, found), fit in zip(hops, fits, strict=True):
        own: dict[str, Rule] = {}
        for verb, positions in zip(asked, fit, strict=True):
            plain, conditional = found.get(verb, ([], []))
            rules = plain + [conditional[position] for position in positions]
            own.update((rule["id"], rule) for rule in rules)
            if not any(_gives(rule, secrets) for rule in rules):
                if verb == "session" and not secrets and _lends_session(found):
                    lent = True
                else:
                    lacking = lacking or _lack(kind, verb, secrets)
        matched.update(own)
        mine = {tag for rule in own.values() if rule["then"] == "allow" for tag in rule.get("unmask", ())}
        lifted = mine if lifted is None else _common(lifted, mine)
    return _verdict(matched, lacking, lifted or set(), lent, emergency)


def _gives(rule: Rule, secrets: bool) -> bool:
    if rule["then"] == "refuse":
        return False
    return not secrets or any(item is True for item in rule.get("where", {}).get("secrets", ()))


def _lends_session(found: Reach) -> bool:
    return any(rule["then"] != "refuse" for verb in OPERATION_VERBS for rules in found.get(verb, ()) for rule in rules)


def _lack(kind: str, verb: str, secrets: bool) -> str:
    if secrets:
        return "it touches the upstream's own secrets, and no rule allows that by name"
    return f"no rule allows this {kind} the verb {verb} here"


def _verdict(
    matched: Mapping[str, Rule], lacking: str, lifted: set[str], lent: bool, emergency: bool
) -> dict[str, Any]:
    ordered = [matched[name] for name in sorted(matched)]
    if emergency:
        ordered = [rule for rule in ordered if not (rule["then"] == "refuse" and rule.get("break_glass"))]
    refusing = [rule for rule in ordered if rule["then"] == "refuse"]
    if refusing:
        return _result("refuse", refusing)
    if lacking:
        hint = "Ask for a rule or for access to this resource."
        return _result("refuse", [{"id": "default", "because": lacking, "hint": hint}])
    holding = [rule for rule in ordered if rule["then"] == "hold"]
    deciding = holding or [*ordered, *([{"id": SESSION_RULE}] if lent else [])]
    waits = bool(holding) and not emergency
    result = _result("hold" if waits else "allow", deciding)
    mask = {tag for rule in ordered for tag in rule.get("mask", ())}
    result["mask"] = sorted(mask)
    result["unmask"] = sorted(tag for tag in lifted if not any(_overlap(tag, other) for other in mask))
    result["limits"] = {"rows": _least(ordered, "operation"), "session_rows": _least(ordered, "session")}
    if waits:
        result["approvers"] = [{**rule["approvers"], "rule": rule["id"]} for rule in holding]
        result["within"] = min(rule["within"] for rule in holding)
        result["patience"] = min(rule.get("patience", rule["within"]) for rule in holding)
    return result


def _result(effect: str, deciding: Sequence[Rule]) -> dict[str, Any]:
    return {
        "effect": effect,
        "rules": sorted(rule["id"] for rule in deciding),
        "because": _sentences(deciding, "because"),
        "hint": _sentences(deciding, "hint"),
        "mask": [],
        "unmask": [],
        "limits": {"rows": None, "session_rows": None},
        "approvers": [],
        "within": 0,
        "patience": 0,
    }


def _sentences(rules: Sequence[Rule], key: str) -> str:
    return " ".join(dict.fromkeys(rule[key] for rule in rules if rule.get(key)))


def _least(rules: Sequence[Rule], per: str) -> int | None:
    return min(
        (rule["limit"]["rows"] for rule in rules if "limit" in rule and rule["limit"]["per"] == per), default=None
    )


def _within(tag: str, prefix: str) -> bool:
    return tag == prefix or tag.startswith(prefix + ".")


def _overlap(one: str, other: str) -> bool:
    # An unmask wider than an explicit mask falls as a whole: a list of tags cannot say "all but".
    return _within(one, other) or _within(other, one)


def _common(one: set[str], other: set[str]) -> set[str]:
    narrow = {tag for tag in one if any(_within(tag, prefix) for prefix in other)}
    return narrow | {tag for tag in other if any(_within(tag, prefix) for prefix in one)}
