"""Projects by rate of change, joined by their outputs: each as it is shipped, and what a bad join is told."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402
import yaml  # noqa: E402
from samples import CHART  # noqa: E402
from test_stacks_all_in_one import violations  # noqa: E402

from tidegate.api.parse import parse_policy  # noqa: E402
from tidegate_stacks import dry, joined  # noqa: E402

STACKS = CHART.parents[1] / "stacks"
ORDER = ("platform", "data", "cache", "live", "cdn", "batch", "events")
PROJECTS = (*ORDER, "all-in-one")
FILES = ("dev", "prod")


@cache
def laid_in_order(settings: str) -> dict[str, dry.Ground]:
    """Every project, each with the outputs of those before it."""
    made: dict[str, dry.Ground] = {}
    for name in ORDER:
        made[name] = dry.run(STACKS / name, settings, stacks=outputs_of(made))
    return made


def outputs_of(made: dict[str, dry.Ground]) -> dict[str, Any]:
    return {stack_of(name): dict(found.exports) for name, found in made.items()}


def stack_of(project: str) -> str:
    return f"organization/tidegate-{project}/dev"


@pytest.fixture(scope="module", params=FILES)
def laid(request: pytest.FixtureRequest) -> tuple[str, dict[str, dry.Ground]]:
    return request.param, laid_in_order(request.param)


def every_object(made: dict[str, dry.Ground]) -> dict[tuple[str, ...], Any]:
    objects = [one for found in made.values() for one in found.objects]
    return {(one.type, one.name): (one.inputs, one.ignores, one.protect) for one in objects}


def test_the_projects_together_make_what_all_in_one_makes(laid: tuple[str, dict[str, dry.Ground]]) -> None:
    settings, made = laid
    whole = every_object({"all-in-one": dry.run(STACKS / "all-in-one", settings)})
    apart = every_object(made)
    assert len(whole) > 40
    assert apart.keys() == whole.keys()
    assert [key for key in whole if apart[key] != whole[key]] == []


def test_each_project_exports_what_its_model_says(laid: tuple[str, dict[str, dry.Ground]]) -> None:
    _, made = laid
    for kind in joined.EXPORTS:
        exports = made[kind.project.removeprefix("tidegate-")].exports
        assert set(exports) == set(kind.model_fields)
        joined.parse(kind, exports, kind.project)  # raises, with every problem in words


def test_one_policy_moves_what_the_other_projects_make(laid: tuple[str, dict[str, dry.Ground]]) -> None:
    _, made = laid
    (policy,) = [one.inputs for one in made["events"].objects if one.kind == "ScalingPolicy"]
    parse_policy(policy)
    moved = {target["name"] for target in policy["spec"]["targets"]}
    exported = {target["name"] for name in joined.MOVED for target in made[name].exports["targets"]}
    assert exported
    assert exported <= moved
    assert policy["spec"]["poolRef"]["name"] == made["batch"].exports["pool"]


def test_no_project_breaks_a_rule(laid: tuple[str, dict[str, dry.Ground]]) -> None:
    _, made = laid
    together = dry.Ground([one for found in made.values() for one in found.resources])
    assert violations(together) == []


@pytest.mark.parametrize("project", PROJECTS)
def test_a_preview_registers_what_an_update_registers(project: str) -> None:
    stacks = outputs_of(laid_in_order("dev"))
    shapes = [
        [
            (one.type, one.name, one.ignores)
            for one in dry.run(STACKS / project, "dev", preview=p, stacks=stacks).resources
        ]
        for p in (False, True)
    ]
    assert sorted(shapes[0]) == sorted(shapes[1])


# ---- what a bad join is told


def run_events(**changed: Any) -> None:
    stacks = outputs_of(laid_in_order("dev"))
    stacks[stack_of("live")] |= {name: value for name, value in changed.items() if value is not None}
    for name in [name for name, value in changed.items() if value is None]:
        del stacks[stack_of("live")][name]
    dry.run(STACKS / "events", "dev", stacks=stacks)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"targets": None}, "output targets: is missing"),
        ({"segments": []}, "output segments: give at least 1"),
        (
            {"targets": [{"name": "live-relay", "ref": {}, "capacity": {"relay_mbps": 2}, "stage": {}, "min": 1}]},
            "output targets[0].max: is missing",
        ),
    ],
)
def test_a_join_that_cannot_be_used_names_stack_output_and_what_is_wrong(changed: Any, says: str) -> None:
    with pytest.raises(Exception, match=re.escape(f"stack organization/tidegate-live/dev: {says}")):
        run_events(**changed)


def test_a_stack_that_was_never_laid_is_named() -> None:
    with pytest.raises(Exception, match="stack organization/tidegate-platform/dev: has no outputs: run `pulumi up`"):
        dry.run(STACKS / "cache", "dev")


def test_a_project_reads_the_stack_that_its_configuration_names() -> None:
    stacks = {"acme/tidegate-platform/blue": dry.run(STACKS / "platform", "dev").exports}
    named = {"tidegate-cache:stacks": json.dumps({"tidegate-platform": "acme/tidegate-platform/blue"})}
    assert dry.run(STACKS / "cache", "dev", stacks=stacks, config=named).objects


def test_events_refuses_a_project_that_it_does_not_know() -> None:
    stacks = {stack_of("platform"): dry.run(STACKS / "platform", "dev").exports}
    with pytest.raises(Exception, match=r"config.joins: edge: use data, cache, live, cdn"):
        dry.run(STACKS / "events", "dev", stacks=stacks, config={"tidegate-events:joins": '["edge"]'})


def test_an_output_that_is_forgotten_or_wrong_is_refused_by_the_stack_that_exports_it() -> None:
    with pytest.raises(TypeError, match="Events exports"):
        ground.lay(lambda: joined.export(joined.Events))
    with pytest.raises(Exception, match="tidegate-events itself: output policy: use lower-case letters"):
        ground.lay(lambda: joined.export(joined.Events, policy=pulumi.Output.from_input("Not A Name")))


# ---- the folders


@pytest.mark.parametrize("project", PROJECTS)
def test_a_program_is_configuration_wiring_and_exports_only(project: str) -> None:
    lines = (STACKS / project / "__main__.py").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.lstrip().startswith(("def ", "class ", "for ", "while ", "if ", "try"))]
    assert len(lines) < 60


@pytest.mark.parametrize("project", PROJECTS)
def test_every_setting_of_a_project_is_described(project: str) -> None:
    folder = STACKS / project
    described = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    assert described["name"] == f"tidegate-{project}"
    assert all(one["description"] for one in described["config"].values())
    asked = set(re.findall(r'config\.\w+\("(\w+)"\)', (folder / "__main__.py").read_text(encoding="utf-8")))
    assert asked <= described["config"].keys()
    for settings in FILES:
        text = (folder / f"Pulumi.{settings}.yaml").read_text(encoding="utf-8")
        given = {key.partition(":")[2] for key in yaml.safe_load(text)["config"]}
        assert given <= described["config"].keys()
        assert text.startswith("# "), "says what it is for"


@pytest.mark.parametrize("project", PROJECTS)
def test_trial_settings_choose_no_nodes_by_a_label_that_somebody_has_to_give(project: str) -> None:
    objects = dry.run(STACKS / project, "dev", stacks=outputs_of(laid_in_order("dev"))).objects
    chosen = [json.dumps(one.inputs) for one in objects]
    labels = {
        tuple(pair)
        for text in chosen
        for found in re.findall(r'"(?:nodeSelector|nodeLabels)": (\{[^}]*\})', text)
        for pair in json.loads(found).items()
    }
    assert labels <= {("kubernetes.io/os", "linux")}


def test_trial_settings_name_no_image_of_the_reader_s_own() -> None:
    for path in Path(STACKS).glob("*/Pulumi.dev.yaml"):
        assert "registry.example" not in path.read_text(encoding="utf-8")


def test_what_a_refresh_reads_back_is_what_was_written(laid: tuple[str, dict[str, dry.Ground]]) -> None:
    """The API server drops empty lists and writes sizes its own way: each would be a change after every refresh."""
    _, made = laid
    for (_, name), (inputs, _, _) in every_object(made).items():
        for path, value in leaves(inputs, name):
            assert value is not None, path
            assert value != [], path
            if isinstance(value, str) and "resources" in path and re.fullmatch("[0-9]+(Mi|Gi)", value):
                assert int(value[:-2]) % 1024, f"{path}: {value}"


def leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, one in inner for leaf in leaves(one, f"{path}.{key}")]
    return found or [(path, value)]
