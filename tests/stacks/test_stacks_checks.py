"""Arguments are refused in words: every problem at once, each with its field and what would be right."""

from __future__ import annotations

from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

import pulumi  # noqa: E402
import yaml  # noqa: E402
from samples import CHART  # noqa: E402

from tidegate_stacks import checks, together  # noqa: E402
from tidegate_stacks.cache import CacheArgs  # noqa: E402
from tidegate_stacks.cdn import CdnArgs, SiteArgs  # noqa: E402
from tidegate_stacks.database import DatabaseArgs  # noqa: E402
from tidegate_stacks.edge import EdgeCacheArgs  # noqa: E402
from tidegate_stacks.live import LiveOriginArgs  # noqa: E402

PROJECT = CHART.parents[1] / "stacks" / "all-in-one"


def problems(kind: Any, given: object, where: str = "edge") -> list[str]:
    with pytest.raises(checks.ArgsError) as refused:
        checks.load(kind, given, where)
    return refused.value.problems


def test_every_problem_is_named_at_once_with_its_field() -> None:
    given = {
        "namespace": " shop",
        "disk": "20 GB",
        "cpu": 1,
        "regions": [
            {"name": "cn-east", "normal_mbps": 4000, "peak_mbps": 90},
            {"name": "CN South", "normal_mbps": "many", "peak_mbps": 1},
        ],
        "cpu_percentage": 60,
    }
    assert problems(EdgeCacheArgs, given) == [
        "edge.namespace: give a text without spaces around it, not ' shop'",
        "edge.regions[0].peak_mbps: 90 is below normal_mbps 4000: raise it or lower normal_mbps",
        "edge.regions[1].name: use lower-case letters, digits and dashes, starting with a letter, not 'CN South'",
        "edge.regions[1].normal_mbps: should be a valid integer, not 'many'",
        'edge.cpu: give cores or thousandths of a core in quotes, e.g. "2" or "500m", not 1',
        "edge.disk: give a size in Mi, Gi or Ti, e.g. 4Gi, not '20 GB'",
        "edge.cpu_percentage: is not known: check the spelling",
    ]


@pytest.mark.parametrize(
    ("kind", "given", "want"),
    [
        (EdgeCacheArgs, None, "edge: give a map of fields, not NoneType"),
        (EdgeCacheArgs, {"namespace": "shop"}, "edge.regions: is missing"),
        (
            CacheArgs,
            {"namespace": "shop", "data_gib": 40, "normal": 1, "peak": 2},
            "edge.data_gib: 40 GiB do not fit into 3 shards of 8Gi, which hold 16.8 GiB: give more shards or memory",
        ),
        (
            DatabaseArgs,
            {"namespace": "shop", "data_gib": 1, "normal": 1, "peak": 2, "backup": {"object_store": None}},
            "edge.backup: give either object_store or snapshot_class",
        ),
        (
            DatabaseArgs,
            {
                "namespace": "shop",
                "data_gib": 1,
                "normal": 1,
                "peak": 2,
                "backup": "none",
                "reads": {"per_replica": 9, "most": 2},
            },
            "edge.reads: most 2 is below instances 3: raise it",
        ),
    ],
)
def test_a_problem_says_what_would_be_right(kind: Any, given: object, want: str) -> None:
    assert problems(kind, given) == [want]


def test_a_region_that_is_named_twice_is_refused() -> None:
    region = {"name": "cn-east", "normal_mbps": 1, "peak_mbps": 2}
    assert problems(EdgeCacheArgs, {"namespace": "shop", "regions": [region, region]}) == [
        "edge.regions: names cn-east twice: give each region once"
    ]


SECRET = "abcdefghijklmn"
KUBECONFIG = f"clusters: []\nusers:\n- name: admin\n  user: {{token: {SECRET}}}\n"
SITE = {"name": "far", "normal_mbps": 1, "peak_mbps": 1, "kubeconfig": KUBECONFIG}


@pytest.mark.parametrize(
    ("sites", "want"),
    [
        ([{**SITE, "kubeconfig": {"token": SECRET}}], "cdn.sites[0].kubeconfig: give a text, not a value of type dict"),
        ([{**SITE, "kubeconfig": [SECRET]}], "cdn.sites[0].kubeconfig: give a text, not a value of type tuple"),
        ([{**SITE, "kubeconfig": " \n"}], "cdn.sites[0].kubeconfig: give a text, not an empty text"),
        (SITE, "cdn.sites: should be a valid tuple, not a map"),
        (KUBECONFIG, "cdn.sites: should be a valid tuple, not a text of 66 characters"),
        (
            [KUBECONFIG],
            "cdn.sites[0]: should be a valid dictionary or instance of SiteArgs, not a text of 66 characters",
        ),
        ([[SITE]], "cdn.sites[0]: should be a valid dictionary or instance of SiteArgs, not a list"),
        ([{**SITE, "nodes": {"kubeconfig": KUBECONFIG}}], "cdn.sites[0].nodes: kubeconfig: a text of 66 characters is"),
        ([{**SITE, "nodes": [SITE]}], "cdn.sites[0].nodes: give labels, e.g. {pool: hangzhou-a}, not a list"),
        ([{**SITE, "priority": KUBECONFIG}], "cdn.sites[0].priority: give a text without spaces around it, not a text"),
    ],
)
def test_a_secret_that_stands_in_a_wrong_form_or_place_is_in_no_message(sites: Any, want: str) -> None:
    found = problems(CdnArgs, {"namespace": "shop", "host": "live.example.com", "sites": sites}, "cdn")
    assert any(problem.startswith(want) for problem in found), found
    assert SECRET not in "".join(found)


@pytest.mark.parametrize("wrong", [{"hook": f"ftp://me:{SECRET}@auth/"}, {"hook": f"auth.shop.svc/?token={SECRET}"}])
def test_an_address_that_bears_credentials_is_in_no_message(wrong: Any) -> None:
    found = problems(LiveOriginArgs, {"namespace": "shop", "normal_mbps": 1, "peak_mbps": 1, "publish": wrong}, "live")
    assert found
    assert SECRET not in "".join(found)


def test_the_newline_at_the_end_of_a_kubeconfig_is_taken_off() -> None:
    assert checks.load(SiteArgs, SITE, "site").kubeconfig == KUBECONFIG.rstrip()


def test_arguments_that_a_program_makes_itself_show_no_secret() -> None:
    assert SECRET not in repr(SiteArgs(**SITE))
    with pytest.raises(ValueError, match="kubeconfig") as refused:
        SiteArgs(**{**SITE, "kubeconfig": {"token": SECRET}})
    assert SECRET not in str(refused.value)


def test_an_output_is_checked_as_soon_as_it_is_known() -> None:
    def program() -> None:
        CacheArgs(namespace=pulumi.Output.from_input(" "), data_gib=1, normal=1, peak=1)

    with pytest.raises(ValueError, match="give a text without spaces around it"):
        ground.lay(program)


def shipped() -> dict[str, Any]:
    """The configuration that the stack comes with, by section."""
    text = (PROJECT / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    return {key.partition(":")[2]: value for key, value in yaml.safe_load(text)["config"].items()}


def sections(**changed: Any) -> dict[str, Any]:
    given = shipped()
    return {name: changed.get(name, given.get(name)) for name in together.SECTIONS}


def test_the_shipped_configuration_is_valid() -> None:
    settings = together.read(sections(), namespace="shop", protect=True)
    assert settings.cdn.namespace == "shop"
    assert settings.cdn.policy is None
    assert settings.database.protect


def test_a_whole_configuration_is_judged_at_once() -> None:
    given = sections(batch=None, cache={**shipped()["cache"], "shards": 1}, cdn={"sites": []})
    with pytest.raises(checks.ArgsError) as refused:
        together.read(given, namespace="shop", protect=True)
    fields = [problem.partition(":")[0] for problem in refused.value.problems]
    assert fields == ["config.cache.shards", "config.cdn.host", "config.cdn.sites", "config.batch"]


def test_every_section_is_described_by_the_project_and_the_other_way_round() -> None:
    described = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    assert set(described) == {*together.SECTIONS, "namespace", "preflight", "protectData"}
    assert all(one["description"] for one in described.values())
    assert set(shipped()) <= set(described)
