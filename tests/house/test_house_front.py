"""The front door: the README is short, names everything that there is, and shows figures that the program prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from project_tree import ROOT, links, pages, tracked

from tidegate.demo.evening.result import CONTESTANTS
from tidegate.demo.evening.rivals import rivals
from tidegate.demo.evening.scenario import scenario
from tidegate.simulation.score import score

LONGEST = 110
READMES = ("README.md", "README.zh-CN.md")
ENGLISH = (
    "Pulumi stacks",
    "CDN",
    "cache clusters",
    "databases",
    "edge nodes",
    "kopf operator",
    "live-room schedules",
    "metrics",
    "pre-scal",
    "capacity",
    "trading",
    "data processing",
)
CHINESE = (
    "Pulumi",
    "CDN",
    "缓存集群",
    "数据库",
    "边缘节点",
    "kopf operator",
    "直播间排期",
    "指标",
    "预扩容",
    "容量",
    "交易",
    "数据处理",
)
"""What the product is made of: Pulumi stacks provision it, an operator watches and moves it."""


def table(page: str) -> str:
    """The table of what is where: the first one that links to stacks/README.md."""
    found = [part for part in pages()[page].split("\n\n") if part.startswith("|") and "(stacks/README.md)" in part]
    assert found, page
    return found[0]


@pytest.mark.parametrize("page", READMES)
def test_the_readme_is_short(page: str) -> None:
    assert len(pages()[page].splitlines()) <= LONGEST


@pytest.mark.parametrize(("page", "words"), [("README.md", ENGLISH), ("README.zh-CN.md", CHINESE)])
def test_every_noun_stands_in_the_table_with_a_link_beside_it(page: str, words: tuple[str, ...]) -> None:
    rows = table(page).splitlines()[2:]
    for word in words:
        row = next((row for row in rows if word in row), None)
        assert row is not None, f"{page}: {word} is in no row"
        assert links(row), f"{page}: {word} has no link"


@pytest.mark.parametrize("page", READMES)
def test_every_top_level_folder_is_linked(page: str) -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if len(path.relative_to(ROOT).parts) > 1}
    linked = {link.strip("/").partition("/")[0] for link in links(table(page))}
    assert folders - linked == set()


@pytest.mark.parametrize("page", READMES)
def test_every_picture_is_there(page: str) -> None:
    named = re.findall(r"(?:src|srcset)=\"([^\"]+)\"|!\[[^\]]*\]\(([^)]+)\)", pages()[page])
    files = ["".join(one) for one in named]
    assert len(files) == 4
    for file in files:
        assert (ROOT / file).exists(), file


def test_both_readmes_link_to_one_another_and_show_the_same_figures() -> None:
    english, chinese = (pages()[page] for page in READMES)
    assert "README.zh-CN.md" in links(english)
    assert "README.md" in links(chinese)
    assert figures(english) == figures(chinese)
    assert re.findall(r"^make .*?(?=  #|$)", english, re.MULTILINE) == re.findall(
        r"^make .*?(?=  #|$)", chinese, re.MULTILINE
    )


def figures(text: str) -> list[list[str]]:
    """Numbers of the table of results, a list for each row."""
    rows = [line for line in text.splitlines() if line.startswith("|") and "×" in line]
    return [re.findall(r"[-+]?\d+(?:\.\d+)?(?= ?[%s×])", row.partition("|")[2].partition("|")[2]) for row in rows]


def recorded() -> dict[str, list[str]]:
    """Lost, of the first 96 s, ready and cost, of each row of the evening's table in the page, by its name."""
    rows = re.findall(r"^ {2}(\S.*?) {2,}(\S+% .*×.*)$", pages()["docs/demo.md"], re.MULTILINE)
    cells = {name: text.replace("%", "").replace("×", "").replace(" s", "").split() for name, text in rows}
    return {name: [lost, first, ready, cost] for name, (lost, first, _, _, cost, ready, *_) in cells.items()}


def test_the_page_s_rows_of_the_rivals_are_what_the_demonstration_computes() -> None:
    """That of Tidegate is a recording; these are the same on every machine."""
    evening = scenario()
    want = {
        CONTESTANTS[name]: [
            f"{s.lost_percent:.2f}",
            f"{s.lost_in['first_96s']:.2f}",
            f"{s.ready_before_seconds:+.0f}",
            f"{s.cost_ratio:.2f}",
        ]
        for name, s in ((name, score(evening, run)) for name, run in rivals(evening, 1.0).items())
    }
    assert {name: row for name, row in recorded().items() if name != CONTESTANTS["tidegate"]} == want


def test_the_readme_s_rows_are_those_of_the_recording_in_the_page() -> None:
    shown = ("tidegate", "human", "keda_cron", "hpa80_quick")
    assert figures(pages()["README.md"]) == [recorded()[CONTESTANTS[name]] for name in shown]


@pytest.mark.parametrize("script", ["architecture.py", "terminal.py", "midnight.py"])
def test_a_picture_is_what_its_script_draws(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "pictures" / script), "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_line_of_the_terminal_is_a_line_of_the_transcripts() -> None:
    picture = (ROOT / "docs" / "pictures" / "terminal.svg").read_text(encoding="utf-8")
    page = pages()["docs/demo.md"]
    lines = re.findall(r"<text [^>]*>([^<]*)</text>", picture)
    assert len(lines) > 30
    for line in lines:
        assert line.removeprefix("$ ") in page, line


def test_every_example_stands_in_its_page() -> None:
    found = set(re.findall(r"\(([\w-]+\.yaml)\)", pages()["examples/README.md"]))
    assert found == {path.name for path in (ROOT / "examples").glob("*.yaml")}
    shown = set(re.findall(r"^\$ tidegate .*?$", pages()["examples/README.md"], re.MULTILINE))
    for path in sorted(Path(ROOT / "examples").glob("*.yaml")):
        assert any(path.name in command for command in shown), f"{path.name}: no command shows it"


def test_the_rings_of_ci_are_targets_of_make() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?<!\w)make ([a-z-]+)", text))
    assert {"check", "test", "test-ground", "test-cluster-quickstart", "test-cluster"} <= named
    assert named <= targets


def test_what_check_leaves_out_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    slow = re.search(r"^SLOW := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert slow is not None
    patterns = slow[1].replace("\\\n", " ").split()
    for pattern in patterns:
        assert list((ROOT / "tests").glob(pattern)), pattern
    # And pytest takes them as they are meant: a glob that matches nothing leaves out nothing.
    assert "$(SLOW:%=--ignore-glob='tests/%')" in makefile
    given = [f"--ignore-glob=tests/{pattern}" for pattern in patterns]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-qq",
        "-p",
        "no:cacheprovider",
        *given,
        "tests/planning",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert "tests/planning/test_plan_limits.py" in listed
    assert [one for one in ("test_shift_", "test_planner_", "test_plan_promises") if one in listed] == []
