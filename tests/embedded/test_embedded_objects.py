"""Objects and their rules, through the Python door."""

from __future__ import annotations

from typing import Any

import pytest
from builders_embedded import API_VERSION, GROUP, autoscaler, definition, deployment, job, show
from hypothesis import given
from hypothesis import strategies as st

from tidegate.embedded.cluster import EmbeddedCluster
from tidegate.embedded.errors import ApiError
from tidegate.embedded.jsonpath import find
from tidegate.embedded.merge import merge_patch, strategic_merge
from tidegate.embedded.pods import MOST, quantity
from tidegate.embedded.resources import Column, Resource
from tidegate.embedded.selectors import label_test
from tidegate.embedded.shape import BUILTIN
from tidegate.embedded.table import age, table

Json = dict[str, Any]


@pytest.fixture
def cluster() -> EmbeddedCluster:
    found = EmbeddedCluster()
    found.create(definition())
    return found


def refused(cluster: EmbeddedCluster, document: Json) -> ApiError:
    with pytest.raises(ApiError) as caught:
        cluster.create(document)
    return caught.value


# ---- custom resources


def test_defaults_are_filled_in_also_inside_list_items(cluster: EmbeddedCluster) -> None:
    made = cluster.create(show(signals=[{"name": "orders"}]))
    assert made["spec"]["phase"] == "Planned"
    assert made["spec"]["signals"] == [{"name": "orders", "level": 1}]


def test_unknown_fields_are_pruned_except_where_the_schema_keeps_them(cluster: EmbeddedCluster) -> None:
    made = cluster.create(show(nonsense=1, anything={"goes": {"here": 1}}))
    assert "nonsense" not in made["spec"]
    assert made["spec"]["anything"] == {"goes": {"here": 1}}


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        ({"phase": "Over"}, "spec.phase", 'Unsupported value: "Over": supported values: "Planned", "Live"'),
        ({"replicas": -1}, "spec.replicas", "should be greater than or equal to 0"),
        ({"replicas": 501}, "spec.replicas", "should be less than or equal to 500"),
        ({"replicas": "many"}, "spec.replicas", 'must be of type integer: "string"'),
        ({"replicas": True}, "spec.replicas", 'must be of type integer: "boolean"'),
        ({"title": ""}, "spec.title", "at least 1 characters"),
        ({"title": "x" * 21}, "spec.title", "at most 20 characters"),
        ({"title": "9lives"}, "spec.title", "should match '^[a-z]'"),
        ({"startsAt": "tomorrow"}, "spec.startsAt", "must be of type date-time"),
        ({"startsAt": None}, "spec.startsAt", 'must be of type string: "null"'),
        ({"tags": ["a", "b", "c", "d"]}, "spec.tags", "at most 3 items"),
        ({"tags": ["a", "a"]}, "spec.tags[1]", "Duplicate value"),
        ({"tags": "a"}, "spec.tags", 'must be of type array: "string"'),
        ({"signals": [{"level": 1}]}, "spec.signals[0].name", "Required value"),
        ({"signals": [{"name": "a"}, {"name": "a"}]}, "spec.signals[1]", "Duplicate value"),
        ({"share": 1.5}, "spec.share", "integer or string"),
    ],
)
def test_a_bad_value_is_422_with_its_path(cluster: EmbeddedCluster, spec: Json, field: str, told: str) -> None:
    error = refused(cluster, show(**spec))
    assert (error.code, error.reason) == (422, "Invalid")
    assert {c.field for c in error.causes} == {field}
    assert any(told in c.message for c in error.causes)
    assert cluster.get(API_VERSION, "Show", "friday") is None


def test_every_mistake_is_told_at_once(cluster: EmbeddedCluster) -> None:
    bad = show(replicas=-1, phase="Over")
    del bad["spec"]["startsAt"]
    assert {c.field for c in refused(cluster, bad).causes} == {"spec.replicas", "spec.phase", "spec.startsAt"}


def test_any_of_judges_without_changing() -> None:
    spec = {
        "type": "object",
        "required": ["startsAt"],
        "properties": {"startsAt": {"type": "string"}, "title": {"type": "string"}, "replicas": {"type": "integer"}},
        "oneOf": [{"required": ["title"]}, {"required": ["replicas"]}],
    }
    cluster = EmbeddedCluster()
    cluster.create(definition(spec=spec))
    assert cluster.create(show("one", title="a"))["spec"]["title"] == "a"
    assert refused(cluster, show("both", title="a", replicas=1)).code == 422
    assert refused(cluster, show("none")).code == 422


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (["cart", "order"], '["cart","order"]'),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ([], "[]"),
        ("cart", "cart"),
        (7, 7),
    ],
)
def test_a_printed_cell_is_json_where_it_is_more_than_a_word(value: Any, cell: str | int) -> None:
    column = Column("Value", "string", ".spec.value")
    resource = Resource("example.org", "v1", "things", "Thing", namespaced=True, custom=True, columns=(column,))
    document = {"metadata": {"name": "one"}, "spec": {"value": value}}
    assert table(resource, [document], meta={}, now=0.0)["rows"][0]["cells"] == ["one", cell]


def test_a_nullable_field_may_be_null(cluster: EmbeddedCluster) -> None:
    made = cluster.create(show(signals=[{"name": "orders", "note": None}]))
    assert made["spec"]["signals"][0]["note"] is None


def test_all_versions_show_the_same_objects() -> None:
    cluster = EmbeddedCluster()
    cluster.create(definition(versions=("v1", "v2")))
    cluster.create(show())
    cluster.create({**show("saturday"), "apiVersion": f"{GROUP}/v2"})
    assert {o["metadata"]["name"] for o in cluster.list(f"{GROUP}/v2", "Show")} == {"friday", "saturday"}
    stored = cluster.get(API_VERSION, "Show", "saturday")
    assert stored is not None
    assert stored["apiVersion"] == API_VERSION


def test_a_definition_whose_name_is_taken_is_never_established(cluster: EmbeddedCluster) -> None:
    other = definition()
    other["metadata"]["name"] = f"concerts.{GROUP}"
    other["spec"]["names"] = {"plural": "concerts", "kind": "Concert", "shortNames": ["sh"]}
    cluster.create(other)
    found = cluster.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"concerts.{GROUP}")
    assert found is not None
    held = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert held == {"NamesAccepted": "False", "Established": "False"}
    with pytest.raises(ApiError, match="no matches for kind"):
        cluster.resource(API_VERSION, "Concert")


def test_deleting_a_definition_deletes_its_objects(cluster: EmbeddedCluster) -> None:
    cluster.create(show())
    cluster.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"shows.{GROUP}")
    cluster.create(definition())
    assert cluster.list(API_VERSION, "Show") == []


# ---- built-in kinds


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (autoscaler(low=5, high=4), "spec.maxReplicas"),
        (autoscaler(low=0), "spec.minReplicas"),
        ({**autoscaler(), "spec": {"maxReplicas": 3}}, "spec.scaleTargetRef.kind"),
        ({**deployment(), "spec": {"replicas": 1}}, "spec.selector"),
        (deployment(replicas=-1), "spec.replicas"),
        ({**job(), "spec": {}}, "spec.template.spec.containers"),
        (deployment("Web"), "metadata.name"),
    ],
)
def test_built_in_kinds_refuse_what_the_real_server_refuses(
    cluster: EmbeddedCluster, document: Json, field: str
) -> None:
    error = refused(cluster, document)
    assert error.code == 422
    assert field in {c.field for c in error.causes}


def test_a_floor_above_the_maximum_is_refused_in_a_patch_too(cluster: EmbeddedCluster) -> None:
    cluster.create(autoscaler(low=2, high=10))
    with pytest.raises(ApiError, match="must be greater than or equal to `minReplicas`") as caught:
        cluster.patch("autoscaling/v2", "HorizontalPodAutoscaler", "web", {"spec": {"minReplicas": 11}})
    assert caught.value.code == 422


def test_defaults_of_built_in_kinds(cluster: EmbeddedCluster) -> None:
    assert cluster.create(deployment(replicas=None))["spec"]["replicas"] == 1
    hpa = autoscaler()
    del hpa["spec"]["minReplicas"], hpa["spec"]["metrics"]
    made = cluster.create(hpa)
    assert made["spec"]["minReplicas"] == 1
    assert made["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    assert cluster.create(job())["spec"]["suspend"] is False


# ---- identity, versions, deletion


def test_a_write_that_names_another_version_or_uid_is_a_conflict(cluster: EmbeddedCluster) -> None:
    cluster.create(show())
    for claim in ({"resourceVersion": "1"}, {"uid": "another"}):
        with pytest.raises(ApiError) as caught:
            cluster.patch(API_VERSION, "Show", "friday", {"metadata": claim, "spec": {"title": "new"}})
        assert caught.value.code == 409


def test_generation_counts_changes_of_the_spec_alone(cluster: EmbeddedCluster) -> None:
    cluster.create(show())
    name = (API_VERSION, "Show", "friday")
    assert cluster.patch(*name, {"metadata": {"labels": {"a": "b"}}})["metadata"]["generation"] == 1
    assert cluster.patch(*name, {"status": {"x": 1}}, subresource="status")["metadata"]["generation"] == 1
    assert cluster.patch(*name, {"spec": {"title": "new"}})["metadata"]["generation"] == 2


def test_status_and_spec_have_separate_doors(cluster: EmbeddedCluster) -> None:
    cluster.create({**show(), "status": {"x": 1}})
    name = (API_VERSION, "Show", "friday")
    assert "status" not in cluster.patch(*name, {"status": {"x": 2}})
    after = cluster.patch(*name, {"status": {"x": 3}, "spec": {"title": "hack"}}, subresource="status")
    assert after["status"] == {"x": 3}
    assert "title" not in after["spec"]


def test_a_write_that_changes_nothing_leaves_the_version(cluster: EmbeddedCluster) -> None:
    before = cluster.create(show(title="same"))
    assert cluster.patch(API_VERSION, "Show", "friday", {"spec": {"title": "same"}}) == before


def test_a_dry_run_answers_and_changes_nothing(cluster: EmbeddedCluster) -> None:
    answer = cluster.create(show(), dry_run=True)
    assert answer["spec"]["phase"] == "Planned"
    assert cluster.get(API_VERSION, "Show", "friday") is None


def test_finalizers_hold_a_deletion(cluster: EmbeddedCluster) -> None:
    held = show()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.create(held)
    cluster.delete(API_VERSION, "Show", "friday")
    marked = cluster.get(API_VERSION, "Show", "friday")
    assert marked is not None
    assert marked["metadata"]["deletionTimestamp"]
    cluster.patch(API_VERSION, "Show", "friday", {"metadata": {"finalizers": None}})
    assert cluster.get(API_VERSION, "Show", "friday") is None


def test_a_namespace_goes_with_its_objects_and_waits_for_held_ones(cluster: EmbeddedCluster) -> None:
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    free, held = show("free"), show("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    for document in (free, held):
        document["metadata"]["namespace"] = "shop"
        cluster.create(document)
    cluster.delete("v1", "Namespace", "shop")
    left = cluster.get("v1", "Namespace", "shop")
    assert left is not None
    assert left["status"]["phase"] == "Terminating"
    assert [o["metadata"]["name"] for o in cluster.list(API_VERSION, "Show", "shop")] == ["held"]
    with pytest.raises(ApiError) as caught:
        cluster.create({**show("late"), "metadata": {"name": "late", "namespace": "shop"}})
    assert caught.value.code == 403
    cluster.patch(API_VERSION, "Show", "held", {"metadata": {"finalizers": None}}, namespace="shop")
    assert cluster.get("v1", "Namespace", "shop") is None


def test_what_the_cluster_hands_out_is_the_callers_own(cluster: EmbeddedCluster) -> None:
    cluster.create(show(title="mine"))
    copy = cluster.get(API_VERSION, "Show", "friday")
    assert copy is not None
    copy["spec"]["title"] = "changed"
    again = cluster.get(API_VERSION, "Show", "friday")
    assert again is not None
    assert again["spec"]["title"] == "mine"


def test_a_bulk_load_is_checked_like_any_other_write(cluster: EmbeddedCluster) -> None:
    assert cluster.load(show(f"show-{n}") for n in range(100)) == 100
    assert len(cluster.list(API_VERSION, "Show")) == 100
    with pytest.raises(ApiError):
        cluster.load([show("bad", replicas=-1)])


# ---- small parts


@pytest.mark.parametrize(
    ("document", "patch", "want"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_as_rfc_7396_gives_it(document: Any, patch: Any, want: Any) -> None:
    assert merge_patch(document, patch) == want


def test_strategic_merge_directives() -> None:
    pods = {
        "containers": [{"name": "a", "image": "1"}, {"name": "b"}],
        "finalizers": ["x", "y"],
        "volumes": [{"name": "v"}],
    }
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
        "containers": [{"name": "b", "$patch": "delete"}, {"name": "c"}, {"name": "a", "image": "2"}],
        "$deleteFromPrimitiveList/finalizers": ["x"],
        "volumes": [{"$patch": "replace"}, {"name": "w"}],
    }
    want = {"containers": [{"name": "c"}, {"name": "a", "image": "2"}], "finalizers": ["y"], "volumes": [{"name": "w"}]}
    assert strategic_merge(pods, patch, BUILTIN) == want


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        ("app=web", True),
        ("app==web,tier!=db", True),
        ("app in (web, api),tier notin (db)", True),
        ("app,!missing", True),
        ("missing", False),
        ("missing!=x", True),
        ("missing notin (x)", True),
        ("size>3", True),
        ("size<3", False),
    ],
)
def test_label_selectors(selector: str, want: bool) -> None:
    test = label_test(selector)
    assert test is not None
    assert test({"app": "web", "tier": "front", "size": "5"}) is want


def test_a_selector_that_makes_no_sense_is_400() -> None:
    with pytest.raises(ApiError) as caught:
        label_test("a b c")
    assert caught.value.code == 400


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")), st.sampled_from("abc"), st.sampled_from("xyz"))
def test_in_and_notin_are_each_others_opposite(labels: dict[str, str], key: str, value: str) -> None:
    inside, outside = label_test(f"{key} in ({value})"), label_test(f"{key} notin ({value})")
    assert inside is not None
    assert outside is not None
    assert inside(labels) is not outside(labels)


@pytest.mark.parametrize(
    ("path", "want"),
    [
        (".spec.a", [1]),
        (".list[0].name", ["x"]),
        (".list[*].name", ["x", "y"]),
        ('.list[?(@.name=="y")].v', [2]),
        (".meta.with\\.dot", [3]),
        (".meta['with.dot']", [3]),
        (".nothing.here", []),
    ],
)
def test_printer_column_paths(path: str, want: list[Any]) -> None:
    document = {"spec": {"a": 1}, "list": [{"name": "x", "v": 1}, {"name": "y", "v": 2}], "meta": {"with.dot": 3}}
    assert find(document, path) == want


def test_quantities_and_ages_as_people_write_them() -> None:
    assert [quantity(q) for q in ("250m", "2", 3, "1Ki", "1k", "x", None)] == [
        0.25,
        2.0,
        3.0,
        1024.0,
        1000.0,
        None,
        None,
    ]
    assert [quantity(q) for q in ("1e999999", "9e23k", "-1e999", "inf", "nan", "k")] == [
        MOST,
        MOST,
        -MOST,
        None,
        None,
        None,
    ]
    assert [age(s) for s in (5, 130, 3700, 90000)] == ["5s", "2m10s", "61m", "25h"]
