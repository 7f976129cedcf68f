"""What findings say, how a rule is run, and that the rules know the same fields as the components."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from declared import UNKNOWN, Declared, Stack, database, deployment, hpa, policy, pool, thing

from tidegate_policies import seams
from tidegate_policies.judging import Finding, Rule, World
from tidegate_policies.paths import covers, parse, written
from tidegate_policies.resources import Seen
from tidegate_policies.rules import BY_NAME, RULES
from tidegate_policies.values import UNKNOWN as LATER
from tidegate_policies.values import plain

README = Path(__file__).resolve().parents[2] / "policies" / "README.md"


def said(rule: str, *resources: Declared) -> list[str]:
    messages: list[str] = []
    judge = BY_NAME[rule]
    for one in resources:
        if judge.resource:
            judge.resource(one, messages.append)
    if judge.stack:
        judge.stack(Stack(resources), lambda message, _urn: messages.append(message))
    return messages


@pytest.mark.parametrize(
    ("rule", "resources", "message"),
    [
        (
            "operator-owned-paths-are-ignored",
            [hpa()],
            'orders: spec.minReplicas belongs to the operator: add ignore_changes=["spec.minReplicas"]',
        ),
        (
            "operator-owned-paths-are-ignored",
            [thing("autoscaling/v2:HorizontalPodAutoscaler", "h", spec=UNKNOWN)],
            'h: spec.minReplicas is not known yet and belongs to the operator: add ignore_changes=["spec.minReplicas"]',
        ),
        (
            "operator-owned-paths-are-ignored",
            [thing("batch/v1:JobList", "l", items=[{"spec": {"suspend": True}}])],
            'l: items[0].spec.suspend belongs to the operator: add ignore_changes=["items[0].spec.suspend"]',
        ),
        (
            "operator-owned-paths-are-ignored",
            [thing("helm.sh/v3:Release", "r", values={"web": {"hpa": {"enabled": True}}})],
            "r: values.web.hpa.enabled makes what the operator moves, and each upgrade sets it back: use helm.v4.Chart",
        ),
        (
            "databases-are-protected",
            [database(protect=False)],
            "orders: a database without protection: add protect=True",
        ),
        (
            "moved-workloads-are-ignored",
            [pool("orders"), deployment(replicas=3)],
            'orders: a CapacityPool moves spec.replicas: add ignore_changes=["spec.replicas"]',
        ),
        (
            "moved-workloads-are-ignored",
            [policy("orders"), Declared("kubernetes:apps/v1:Deployment", "orders", {"spec": {"replicas": 3}})],
            'orders: a ScalingPolicy moves spec.replicas: add ignore_changes=["spec.replicas"]',
        ),
        (
            "no-replicas-beside-an-autoscaler",
            [hpa("spec", namespace=UNKNOWN), deployment(replicas=3)],
            "orders: replicas beside an autoscaler: leave replicas out (not all names are known yet)",
        ),
        (
            "suppressions-have-reasons",
            [database().noted("databases-are-protected")],
            'orders: tidegate.dev/allow gives no reason: write "databases-are-protected: why"',
        ),
        (
            "suppressions-are-needed",
            [database().noted("databases-are-protected: of test data")],
            "orders: tidegate.dev/allow suppresses nothing: databases-are-protected finds nothing here: remove it",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value in BY_NAME else "",
)
def test_a_finding_says_what_is_wrong_and_what_to_write(rule: str, resources: list[Declared], message: str) -> None:
    assert said(rule, *resources) == [message]


# ---- how a rule is run


def _fails_at_broken(seen: Seen, _: World) -> Iterator[Finding]:
    if seen.name == "broken":
        raise RuntimeError("no such thing")
    yield Finding(f"{seen.name}: wrong")


def test_a_rule_that_fails_on_one_resource_says_so_and_judges_the_others() -> None:
    rule = Rule("r", "It must not fail.", _fails_at_broken, whole=True)
    found: list[tuple[str, str | None]] = []
    broken = deployment(name="broken")
    assert rule.stack is not None
    rule.stack(Stack([broken, deployment()]), lambda message, urn: found.append((message, urn)))
    assert found == [
        ("broken: r cannot judge it (RuntimeError: no such thing)", broken.urn),
        ("orders: wrong", deployment().urn),
    ]


class _Refuses(dict[str, Any]):
    """A value that raises where the runtime's proxies do."""

    def __getitem__(self, key: str) -> Any:
        if key == "later":
            raise RuntimeError(key)
        return super().__getitem__(key)


def test_what_cannot_be_read_is_unknown_and_hides_nothing_beside_it() -> None:
    given = {"a": _Refuses(later=1, now=2), "b": [UNKNOWN, {"c": None}], "d": "text"}
    assert plain(given) == {"a": {"later": LATER, "now": 2}, "b": [LATER, {"c": None}], "d": "text"}


def test_every_rule_looks_at_either_a_resource_or_a_stack_and_says_so_in_its_name() -> None:
    for rule in RULES:
        assert (rule.resource is None) != (rule.stack is None)
        assert rule.check.__name__.replace("_", "-") == rule.name
        assert rule.description.endswith(".")
        assert " must " in rule.description
    assert len(BY_NAME) == len(RULES)


def test_the_readme_shows_each_rule_with_what_breaks_it_and_how_to_allow_it() -> None:
    text = README.read_text(encoding="utf-8")
    for rule in RULES:
        section = re.search(rf"^### `{rule.name}`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, rule.name
        assert "```python" in section[1], rule.name
        assert re.search(r"\b[Aa]llow", section[1]), rule.name
    assert set(re.findall(r"^### `([\w-]+)`$", text, re.MULTILINE)) == set(BY_NAME)


# ---- paths


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("root", ("root",)),
        ("root.nested", ("root", "nested")),
        ('root["nested"]', ("root", "nested")),
        ("root.double.nest", ("root", "double", "nest")),
        ('root["double"].nest', ("root", "double", "nest")),
        ("root.array[0]", ("root", "array", 0)),
        ("root.array[100]", ("root", "array", 100)),
        ("a[0].b", ("a", 0, "b")),
        ("root.array[0][1].nested", ("root", "array", 0, 1, "nested")),
        ('root["key with \\"escaped\\" quotes"]', ("root", 'key with "escaped" quotes')),
        ('root["key with a ."]', ("root", "key with a .")),
        ('["root key with \\"escaped\\" quotes"].nested', ('root key with "escaped" quotes', "nested")),
        ('["root key with a ."][100]', ("root key with a .", 100)),
        ("root.array[*].field", ("root", "array", "*", "field")),
        ('root.array["*"].field', ("root", "array", "*", "field")),
        ("*", ("*",)),
        ("metadata.annotations.app\u00e9", ("metadata", "annotations", "app\u00e9")),
    ],
)
def test_a_path_is_read_as_pulumi_reads_it(text: str, path: tuple[str | int, ...]) -> None:
    """The examples of Pulumi's documentation of ignore_changes, and some more."""
    assert parse(text) == path
    assert parse(written(path)) == path


@pytest.mark.parametrize(
    "text", ["", "root[", "root[0", 'root["nested]', 'root["nested"', "root[x]", "root[-1]", "a[0]b", "]"]
)
def test_what_is_no_path_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="property path"):
        parse(text)


def test_a_path_covers_itself_and_what_is_in_it_and_nothing_else() -> None:
    assert covers(parse("a[0].b"), parse("a[0].b.c"))
    assert covers(parse("a[*].b"), parse("a[7].b"))
    assert not covers(parse("a[0].b"), parse("a[1].b"))
    assert not covers(parse("a[0].b.c"), parse("a[0].b"))
    assert not covers(parse('a["0"]'), parse("a[0]"))
    assert not covers(parse("a.b"), parse("a.bc"))


# ---- the seams


def test_components_and_rules_know_the_same_fields() -> None:
    ownership = pytest.importorskip("tidegate_stacks.ownership")
    known = {**seams.OPERATOR_OWNED, **seams.OPERATOR_OWNED_WHERE_MOVED}
    theirs: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in ownership.OPERATOR_OWNED:
        theirs[one.group, one.kind] = (*theirs.get((one.group, one.kind), ()), one.path)
    assert known == theirs
    assert seams.GROUP == ownership.GROUP
