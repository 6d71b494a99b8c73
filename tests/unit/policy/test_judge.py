"""The evaluator, on JSON."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.policy.judge import judge

SOURCE = Path(__file__).parents[3] / "src" / "tidegate"
Json = dict[str, Any]
ALLOW: Json = {"id": "a", "may": ["read", "write"], "then": "allow"}


def rule(id: str, then: str = "allow", may: str = "read", **rest: Any) -> Json:
    hold = {"approvers": {"groups": ["dba"], "count": 1}, "within": 900} if then == "hold" else {}
    return {"id": id, "may": may.split(), "then": then, **hold, **rest}


def facts(verb: str = "read", groups: tuple[str, ...] = ("staff",), **operation: Any) -> Json:
    described = {"verb": verb, "command": "select", "commands": ["select"], "secrets": False, "effect": False}
    hop = {"name": "alice", "subject": "u_1", "kind": "user", "groups": list(groups)}
    resource = {"name": "shop", "labels": {"env": "prod"}}
    return {"chain": [hop], "resource": resource, "operation": {**described, **operation}}


def chain(first: str, second: str, **rest: Any) -> Json:
    both = facts(**rest)
    agent = {"name": "bot", "subject": "a_bot", "kind": "agent", "groups": [second]}
    return {**both, "chain": [{**both["chain"][0], "groups": [first]}, agent]}


def verdict(rules: list[Json], asked: Json) -> Json:
    return judge({"rules": rules}, asked)


def test_nothing_is_allowed_by_default() -> None:
    """Without a rule the answer is no, and it says what was missing."""
    answer = verdict([], facts())
    assert (answer["effect"], answer["rules"]) == ("refuse", ["default"])
    assert answer["because"] == "no rule allows this user the verb read here"


def test_an_empty_chain_is_refused() -> None:
    """Nobody has no rights."""
    assert verdict([rule("a")], {**facts(), "chain": []})["effect"] == "refuse"


@pytest.mark.parametrize(
    ("thens", "effect", "ids"),
    [
        (["allow"], "allow", ["r0"]),
        (["allow", "hold"], "hold", ["r1"]),
        (["hold"], "hold", ["r0"]),
        (["allow", "hold", "refuse"], "refuse", ["r2"]),
    ],
)
def test_refuse_beats_hold_beats_allow(thens: list[str], effect: str, ids: list[str]) -> None:
    """The strictest matching rule decides and is named."""
    answer = verdict([rule(f"r{number}", then) for number, then in enumerate(thens)], facts())
    assert (effect, ids) == (answer["effect"], answer["rules"])


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({"who": {"groups": ["staff", "x"]}}, True),
        ({"who": {"groups": ["x"]}}, False),
        ({"who": {"subjects": ["alice"]}}, True),
        ({"who": {"subjects": ["u_1"]}}, False),
        ({"who": {"kinds": ["agent"]}}, False),
        ({"on": {"resources": ["shop"]}}, True),
        ({"on": {"resources": ["other"]}}, False),
        ({"on": {"labels": {"env": "prod"}}}, True),
        ({"on": {"labels": {"env": "prod", "tier": "1"}}}, False),
    ],
)
def test_selectors_pick_hop_and_resource(selector: Json, fits: bool) -> None:
    """Every key of who and on must fit; lists mean any of."""
    assert verdict([rule("a", **selector)], facts())["effect"] == ("allow" if fits else "refuse")


@pytest.mark.parametrize(("groups", "effect"), [(["staff"], "refuse"), (["staff", "agents"], "allow")])
def test_every_hop_needs_a_rule_of_its_own(groups: list[str], effect: str) -> None:
    """An agent has no right from its person's rule, nor the person from the agent's."""
    rules = [rule(f"for-{group}", who={"groups": [group]}) for group in groups]
    assert verdict(rules, chain("staff", "agents"))["effect"] == effect


def test_the_strictest_hop_decides() -> None:
    """A hold for the agent holds the chain."""
    rules = [rule("a"), rule("h", "hold", who={"kinds": ["agent"]})]
    assert verdict(rules, chain("staff", "agents"))["rules"] == ["h"]


def test_each_verb_needs_a_rule() -> None:
    """An operation that reads and writes is refused to a reader."""
    assert verdict([rule("a")], facts("write", verbs=["read", "write"]))["effect"] == "refuse"
    assert verdict([ALLOW], facts("write", verbs=["read", "write"]))["effect"] == "allow"


@pytest.mark.parametrize(
    ("then", "reads", "effect"),
    [
        ("allow", ["public.a"], "allow"),
        ("allow", ["public.a", "secret.b"], "refuse"),
        ("allow", [], "allow"),
        ("refuse", ["public.a", "secret.b"], "refuse"),
        ("refuse", ["secret.b"], "allow"),
    ],
)
def test_objects_all_for_an_allow_any_for_a_refusal(then: str, reads: list[str], effect: str) -> None:
    """What gives must cover every object; what restricts needs one."""
    rules = [rule("r", then, where={"objects": ["public.*"]})] + ([rule("a")] if then == "refuse" else [])
    assert verdict(rules, facts(reads=reads))["effect"] == effect


def test_an_effect_on_no_named_object_is_not_covered() -> None:
    """A call that touches nothing by name may touch anything: an allow over objects does not reach it."""
    assert verdict([rule("a", where={"objects": ["*"]})], facts(effect=True))["effect"] == "refuse"


def test_unresolved_objects_count_against_the_agent() -> None:
    """Objects that nobody could resolve match every restriction and no allow."""
    asked = facts(reads=["public.a"], unresolved=["x"])
    assert verdict([rule("a", where={"objects": ["*"]})], asked)["effect"] == "refuse"
    assert verdict([rule("a"), rule("r", "refuse", where={"objects": ["secret.*"]})], asked)["rules"] == ["r"]


def test_a_hidden_command_escapes_no_refusal_and_uses_no_allow() -> None:
    """Of several commands one is enough to refuse, and all must be allowed."""
    asked = facts(commands=["insert", "delete"])
    assert verdict([rule("a", where={"command": ["insert"]})], asked)["effect"] == "refuse"
    assert verdict([rule("a"), rule("r", "refuse", where={"command": ["delete"]})], asked)["rules"] == ["r"]


@pytest.mark.parametrize("then", ["hold", "refuse"])
def test_a_missing_fact_restricts_only_the_unknown(then: str) -> None:
    """A restriction on a fact that is not there applies when part of the operation is unknown."""
    rules = [rule("a", may="read unknown"), rule("r", then, may="read", where={"unbounded": [True]})]
    assert verdict(rules, facts())["effect"] == "allow"
    assert verdict(rules, facts(verbs=["read", "unknown"]))["effect"] == then


def test_a_missing_fact_never_gives() -> None:
    """An allow with a condition needs the fact to be there."""
    assert verdict([rule("a", where={"unbounded": [False]})], facts())["effect"] == "refuse"


def test_true_is_not_one() -> None:
    """JSON's true and 1 are different values."""
    assert verdict([rule("a", where={"n": [1]})], facts(n=True))["effect"] == "refuse"


def test_the_unknown_needs_its_name() -> None:
    """A rule for every other verb does not reach the unknown."""
    every = rule("a", may="read write define execute session administer")
    assert verdict([every], facts("unknown"))["effect"] == "refuse"
    assert verdict([rule("u", may="unknown")], facts("unknown"))["effect"] == "allow"


@pytest.mark.parametrize("then", ["allow", "hold"])
def test_secrets_need_their_name(then: str) -> None:
    """Neither an allow nor an approval opens the upstream's own secrets unless the rule says so."""
    asked = facts(secrets=True, reads=["x"])
    assert verdict([rule("a", then), rule("b", where={"objects": ["*"]})], asked)["effect"] == "refuse"
    assert verdict([rule("a", then, where={"secrets": [True]})], asked)["effect"] == then


def test_the_gateway_itself_needs_its_name() -> None:
    """An allow on anything is no allow on the gateway."""
    asked = {**facts("observe"), "resource": {"name": "tidegate", "labels": {}}}
    assert verdict([rule("a", may="observe")], asked)["effect"] == "refuse"
    assert verdict([rule("a", may="observe", on={"resources": ["tidegate"]})], asked)["effect"] == "allow"


def test_a_reader_may_begin() -> None:
    """Session verbs are lent by any right on the resource, under a rule id of their own."""
    answer = verdict([rule("a")], facts("session"))
    assert (answer["effect"], answer["rules"]) == ("allow", ["tidegate.session"])


@pytest.mark.parametrize("rules", [[], [rule("c", may="connect")], [rule("a"), rule("r", "refuse", may="session")]])
def test_nobody_else_may_begin(rules: list[Json]) -> None:
    """Without any right on operations, or against a refusal, there is no session verb either."""
    assert verdict(rules, facts("session"))["effect"] == "refuse"


def test_no_session_verb_is_lent_for_secrets() -> None:
    """A setting that holds a secret is not harmless."""
    assert verdict([rule("a")], facts("session", secrets=True))["effect"] == "refuse"


def test_masks_add_up_and_limits_shrink() -> None:
    """Masks are the union over rules and hops, limits the least."""
    rules = [
        rule("a", mask=["pii"], limit={"rows": 10, "per": "session"}),
        rule("b", mask=["x"], limit={"rows": 5, "per": "session"}, who={"kinds": ["agent"]}),
    ]
    answer = verdict(rules, chain("staff", "agents"))
    assert (answer["mask"], answer["limits"]) == (["pii", "x"], {"rows": None, "session_rows": 5})


@pytest.mark.parametrize(
    ("alice", "bot", "mask", "lifted"),
    [
        (["pii"], ["pii.email"], [], ["pii.email"]),
        (["pii.email"], ["pii.ssn"], [], []),
        (["pii.email"], ["pii.email"], ["pii"], []),
        (["pii"], ["pii"], ["pii.email"], []),
        (["pii"], ["pii"], ["other"], ["pii"]),
    ],
)
def test_unmask_is_common_to_all_hops_less_masks(
    alice: list[str], bot: list[str], mask: list[str], lifted: list[str]
) -> None:
    """Only what every hop may see in clear, and nothing that overlaps an explicit mask."""
    rules = [rule("a", unmask=alice, who={"kinds": ["user"]}), rule("b", unmask=bot, who={"kinds": ["agent"]})]
    rules += [rule("m", mask=mask)] if mask else []
    assert verdict(rules, chain("staff", "agents"))["unmask"] == lifted


def test_a_hold_asks_the_approvers_of_every_rule() -> None:
    """All matching holds are asked, and the shortest patience counts."""
    rules = [rule("a", "hold"), rule("b", "hold", within=60, approvers={"groups": ["legal"], "count": 2})]
    answer = verdict(rules, facts())
    assert answer["within"] == 60
    assert [(item["rule"], item["count"]) for item in answer["approvers"]] == [("a", 1), ("b", 2)]


def test_reasons_are_those_of_the_deciding_rules() -> None:
    """Because and hint come from the rules that decided, each sentence once."""
    rules = [
        rule("a", because="no"),
        rule("b", "refuse", because="Not here."),
        rule("c", "refuse", because="Not here."),
    ]
    assert verdict(rules, facts())["because"] == "Not here."


VERBS = st.sampled_from(["read", "write", "session", "unknown"])
RULES = st.lists(
    st.builds(
        lambda then, may, groups, where: (then, may, groups, where),
        st.sampled_from(["allow", "hold", "refuse"]),
        st.lists(VERBS, min_size=1, unique=True),
        st.sampled_from([None, ["staff"], ["agents"]]),
        st.sampled_from([None, {"objects": ["public.*"]}, {"unbounded": [True]}, {"secrets": [True]}]),
    ),
    max_size=6,
).map(
    lambda many: [
        rule(f"r{k}", t, " ".join(m), **({"who": {"groups": g}} if g else {}), **({"where": w} if w else {}))
        for k, (t, m, g, w) in enumerate(many)
    ]
)
ASKED = st.builds(
    lambda verb, reads, secrets, more: chain("staff", "agents", verb=verb, reads=reads, secrets=secrets, **more),
    VERBS,
    st.lists(st.sampled_from(["public.a", "secret.b"]), max_size=2),
    st.booleans(),
    st.sampled_from([{}, {"unbounded": True}, {"verbs": ["read", "unknown"]}]),
)
RANK = {"allow": 0, "hold": 1, "refuse": 2}


@given(RULES, ASKED, st.randoms())
def test_order_never_matters(rules: list[Json], asked: Json, random: Any) -> None:
    """Any order of the rules gives the same verdict."""
    shuffled = list(rules)
    random.shuffle(shuffled)
    assert verdict(rules, asked) == verdict(shuffled, asked)


@given(RULES, ASKED)
def test_a_restriction_never_helps(rules: list[Json], asked: Json) -> None:
    """One more refusal never makes a verdict milder."""
    more = [*rules, rule("zz", "refuse")]
    assert RANK[verdict(more, asked)["effect"]] >= RANK[verdict(rules, asked)["effect"]]


@given(RULES, ASKED)
def test_a_longer_chain_never_helps(rules: list[Json], asked: Json) -> None:
    """A chain may do at most what its first hop may do alone."""
    alone = {**asked, "chain": asked["chain"][:1]}
    assert RANK[verdict(rules, asked)["effect"]] >= RANK[verdict(rules, alone)["effect"]]


def test_it_imports_the_standard_library_only() -> None:
    """The offline verifier ships this file as it is."""
    tree = ast.parse((SOURCE / "policy" / "judge.py").read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("command", "verb", "normal", "emergency"),
    [
        ("update", "write", "hold", "allow"),
        ("copy", "read", "refuse", "allow"),
        ("drop", "read", "refuse", "refuse"),
        ("call", "execute", "refuse", "refuse"),
    ],
)
def test_an_emergency_lifts_the_wait_and_marked_refusals_only(
    command: str, verb: str, normal: str, emergency: str
) -> None:
    """Nobody is waited for; a refusal is lifted only where its rule says so; masks and limits stay."""
    rules = [
        rule("reads", mask=["pii"], limit={"rows": 5, "per": "operation"}),
        rule("held", "hold", "write", mask=["pii"], limit={"rows": 5, "per": "operation"}),
        rule("marked", "refuse", break_glass=True, where={"command": ["copy"]}),
        rule("never", "refuse", where={"command": ["drop"]}),
    ]
    asked = facts(verb, command=command, commands=[command])
    assert verdict(rules, asked)["effect"] == normal
    found = verdict(rules, {**asked, "emergency": True})
    assert (found["effect"], found["approvers"]) == (emergency, [])
    if emergency == "allow":
        assert (found["mask"], found["limits"]["rows"]) == (["pii"], 5)


def test_only_true_is_an_emergency() -> None:
    """Nothing that merely looks like it lifts a hold."""
    for word in (1, "true", [True], None):
        assert verdict([rule("held", "hold", "write")], {**facts("write"), "emergency": word})["effect"] == "hold"
