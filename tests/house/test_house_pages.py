"""What the pages say is true: examples are valid, links lead somewhere, commands exist, reasons have sentences."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from project_tree import ROOT, Block, anchors, blocks, links, pages

from tidegate.cli.manifests import Document, read_documents
from tidegate.cli.validate import check_documents
from tidegate.planning.guardrails import GUARDRAILS
from tidegate.planning.model import STAGES, Freshness, Trouble
from tidegate.planning.readings import NOT_READ_YET
from tidegate.planning.reasons import SENTENCES, Reason
from tidegate.planning.shape import PROFILES
from tidegate.planning.shift.diagnose import CAUSES

KINDS = {"LiveEvent", "ScalingPolicy"}


def _documents(block: Block) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(block.text) if isinstance(one, dict)]


OURS = [block for block in blocks("yaml") if any(one.get("kind") in KINDS for one in _documents(block))]


def test_the_readme_shows_an_event_and_a_policy() -> None:
    shown = {one["kind"] for block in OURS if block.page == "README.md" for one in _documents(block)}
    assert shown == KINDS


@pytest.mark.parametrize("block", OURS, ids=lambda block: block.page)
def test_objects_in_pages_are_valid(block: Block) -> None:
    documents = [Document(block.page, index, one) for index, one in enumerate(_documents(block), 1)]
    report = check_documents(documents)
    assert report.checked == len(documents)
    assert [str(finding) for finding in report.problems + report.warnings] == []


@pytest.mark.parametrize("folder", ["examples", "policies/scaling"])
def test_objects_in_files_are_valid(folder: str) -> None:
    files = sorted((ROOT / folder).glob("*.yaml"))
    assert files
    for file in files:
        report = check_documents(read_documents([file]))
        assert report.checked > 0
        assert [str(finding) for finding in report.problems] == []


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    for link in links(pages()[page]):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page}: {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in links(pages()[page]):
            target = ((ROOT / page).parent / link.partition("#")[0]).resolve()
            name = str(target.relative_to(ROOT)) if target.is_relative_to(ROOT) else ""
            if name in pages() and name not in reached:
                waiting.append(name)
    assert pages().keys() - reached == set()


def test_make_targets_that_pages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page, text in pages().items():
        for name in re.findall(r"(?:^|`| {4})make ([a-z-]+)", text, re.MULTILINE):
            assert name in targets, f"{page}: make {name}"


def test_files_that_pages_name_exist() -> None:
    for page, text in pages().items():
        for path in re.findall(r"`((?:docs|examples|bench|tests|policies|charts|operator|\.ci)/[\w./-]*)`", text):
            if "…" not in path:
                assert (ROOT / path).exists(), f"{page}: {path}"


# ---- words


def test_every_reason_has_a_code_and_a_sentence() -> None:
    assert SENTENCES.keys() == set(Reason)
    for reason, sentence in SENTENCES.items():
        assert re.fullmatch(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*", reason.value)
        assert sentence[0].isupper(), reason.value
        assert sentence.endswith("."), reason.value


def test_every_trouble_of_a_target_is_a_reason_too() -> None:
    assert {trouble.value for trouble in Trouble} <= {reason.value for reason in Reason}


def test_reason_codes_and_outcomes_of_readings_that_pages_name_exist() -> None:
    codes = {reason.value for reason in Reason} | {one.value for one in Freshness} | {NOT_READ_YET}
    text = pages()["docs/troubleshooting.md"] + pages()["docs/failure-modes.md"]
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", text))
    elsewhere = {"LiveEvent", "ScalingPolicy", "KeepsLastValid", "WriteFailed", "OnTime", "TidegateNobodyActs"}
    elsewhere.add("TidegateNamespaceRefuses")
    elsewhere |= {"TooManyReplicas", "TooFewReplicas", "ScaleUpLimit"}  # an HPA's own words
    elsewhere.add("TooMany")  # of an Override
    assert named - codes - elsewhere == set()


def test_the_concepts_list_the_guardrails_in_their_order() -> None:
    table = pages()["docs/concepts.md"].partition("### 5. Guardrails")[2].partition("## Loans")[0]
    names = re.findall(r"^\| \d+ \| ([^|]+) \|", table, re.MULTILINE)
    said = {"owner's level": "owner_level"}
    assert [said.get(n, n.replace(" ", "_")) for n in names] == [g.__name__ for g in GUARDRAILS]


def test_profiles_and_stages_of_the_core_are_those_of_the_api() -> None:
    reference = pages()["docs/reference/api.md"]
    for words in (PROFILES, STAGES):
        assert ", ".join(f"`{word}`" for word in words) in reference


def test_the_page_on_blindness_has_every_outcome() -> None:
    text = pages()["docs/troubleshooting.md"].partition("## Blind")[2].partition("\n## ")[0]
    bad = {one.value for one in Freshness if one is not Freshness.FRESH} | {NOT_READ_YET}
    assert {outcome for outcome in bad if f"`{outcome}" not in text} == set()


def test_the_page_on_what_a_pool_refuses_has_every_code() -> None:
    text = pages()["docs/troubleshooting.md"].partition("### The pool refuses")[2].partition("\n## ")[0]
    codes = list(Reason)
    refused = codes[codes.index(Reason.POOL_TOO_SMALL) : codes.index(Reason.UNIT_UNKNOWN) + 1]
    assert {rule.value for _, rule in CAUSES} < {one.value for one in refused}
    assert {one.value for one in refused if f"`{one.value}`" not in text} == set()
