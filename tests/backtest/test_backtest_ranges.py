"""What may come instead of a range of samples: each is said in words, and no part of it is taken for the whole."""

from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_prometheus import Asked, Told, faulty, matrix, one
from typer.testing import CliRunner

from tidegate.backtest.ranges import MOST_BYTES, MOST_POINTS, POINTS, Prometheus, fetch
from tidegate.backtest.series import InputError, Series
from tidegate.cli.backtest_inputs import Steps
from tidegate.cli.main import app
from tidegate.metrics.credentials import Credentials

START = 1_772_409_600.0
"""2026-03-02T00:00:00Z."""
TWO_PAGES = 15.0 * (POINTS + 99)
DAY = 86_400.0

Answer = Callable[[Asked, int], Told]


def fetched(answer: Answer, *, seconds: float = 20.0, end: float = START + 1500.0, **more: Any) -> Series:
    with faulty(answer) as server:
        source = Prometheus(server.url, seconds=seconds, sleep=lambda pause: None, **more)
        return fetch(source, "sum(orders)", start=START, end=end)


def well(asked: Asked, number: int = 0) -> Told:
    return matrix(one(asked.samples()))


def refused(answer: Answer, words: str, **how: Any) -> None:
    with pytest.raises(InputError, match=words):
        fetched(answer, **how)


def test_what_is_well_is_whole() -> None:
    found = fetched(well, end=START + TWO_PAGES)
    assert (found.times[0], found.times[-1], len(found.values)) == (START, START + TWO_PAGES, POINTS + 100)
    assert set(found.values) == {5.0}


# ---- no answer


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_server_that_hangs_or_drips_costs_one_deadline_and_is_said(how: str) -> None:
    began = time.monotonic()
    refused(
        lambda asked, _: Told(well(asked).body, how=how),
        r"page 1 of 1 \(2026-03-02T00:00:00Z\): no whole answer from Prometheus in 1 s",
        seconds=1.0,
    )
    assert time.monotonic() - began < 5.0


def test_a_server_that_dies_in_mid_fetch_leaves_no_half_week() -> None:
    def dies(asked: Asked, number: int) -> Told:
        return well(asked) if number == 0 else Told(well(asked).body, how="cut")

    refused(dies, r"page 2 of 2 \(2026-03-02T20:50:00Z\): the answer of Prometheus broke off", end=START + TWO_PAGES)


def test_a_connection_that_breaks_once_costs_nothing_but_another_try() -> None:
    found = fetched(lambda asked, number: Told(well(asked).body, how="whole" if number else "cut"))
    assert set(found.values) == {5.0}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again_and_then_named(status: int) -> None:
    found = fetched(lambda asked, number: well(asked) if number == 2 else Told(b"wait", status))
    assert set(found.values) == {5.0}
    refused(lambda asked, _: Told(b"wait", status), f"Prometheus answers {status} ")


def test_what_is_refused_is_asked_for_once() -> None:
    with faulty(lambda asked, _: Told({"status": "error", "error": "too many samples"}, 422)) as server:
        with pytest.raises(InputError, match=r"Prometheus answers 422 Unprocessable \w+: too many samples"):
            fetch(Prometheus(server.url), "up", start=START, end=START + 60.0)
        assert len(server.asked) == 1


# ---- who asks


def test_without_a_token_it_is_said_where_one_is_given() -> None:
    refused(
        lambda asked, _: Told(b"Unauthorized", 401),
        r"Prometheus answers 401 Unauthorized: it wants a token, or another one \(--prometheus-credentials\)",
    )


def test_token_and_tenant_go_with_each_page(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "tenant").write_text("shop\n")
    with faulty(well) as server:
        fetch(Prometheus(server.url, Credentials(tmp_path)), "up", start=START, end=START + TWO_PAGES)
    told = [(asked.headers["Authorization"], asked.headers["X-Scope-OrgID"]) for asked in server.asked]
    assert told == [("Bearer s3cret", "shop")] * 2


def test_the_server_is_told_how_long_it_may_take() -> None:
    with faulty(well) as server:
        fetch(Prometheus(server.url, seconds=7.0), "up", start=START, end=START + 60.0)
    assert server.asked[0].params["timeout"] == "7s"


def test_a_server_of_an_authority_of_ones_own_is_trusted_by_its_certificate(tmp_path: Path) -> None:
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("no openssl on PATH")
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.crt"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    made = [openssl, *words.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with faulty(well, tls) as server:
        found = fetch(Prometheus(server.url, Credentials(tmp_path)), "up", start=START, end=START + 60.0)
        assert set(found.values) == {5.0}
        with pytest.raises(InputError, match=r"nobody vouches for its certificate \(ca.crt in --prometheus-credenti"):
            fetch(Prometheus(server.url), "up", start=START, end=START + 60.0)


def test_a_folder_without_credentials_and_a_token_that_is_none_are_told(tmp_path: Path) -> None:
    given = ["backtest", "--prometheus", "http://127.0.0.1:1", "--query", "up", "--prometheus-credentials", tmp_path]
    done = CliRunner().invoke(app, list(map(str, given)))
    assert (done.exit_code, "has none of the files token, tenant and ca.crt" in done.output) == (2, True), done.output
    (tmp_path / "token").write_text("two words")
    done = CliRunner().invoke(app, list(map(str, given)))
    assert (done.exit_code, "must hold one word of printable ASCII" in done.output) == (2, True), done.output


# ---- a part, or something else


def test_a_part_of_the_answer_is_none() -> None:
    refused(
        lambda asked, _: matrix(one(asked.samples()), warnings=["store-1: connection refused"]),
        "a part of it only: store-1: connection refused; ask where all of it is there",
    )
    refused(
        lambda asked, _: matrix(one(asked.samples()), isPartial=True), "a part of it only: some storage nodes did not"
    )


def test_a_remark_on_the_query_is_no_warning() -> None:
    found = fetched(lambda asked, _: matrix(one(asked.samples()), warnings=["PromQL info: metric might not be a …"]))
    assert set(found.values) == {5.0}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Told({"status": "error", "error": "bad data"}), "Prometheus answers with an error: bad data"),
        (Told({"status": "success", "error": "store gone", "data": {"result": []}}), "with an error: store gone"),
        (Told(b"<html>Sign in</html>"), "what answers is no Prometheus API"),
        (Told(b"[" * 100_000), "what answers is no Prometheus API"),
        (Told({"status": "success"}), "what answers is no Prometheus API"),
        (Told([]), "what answers is no Prometheus API"),
        (Told(b"nothing here", 404), "answers 404 Not Found: is a prefix missing in its URL"),
        (matrix(kind="vector"), "the answer is no range of samples but vector"),
        (Told({"status": "success", "data": {"resultType": "matrix", "result": "many"}}), "is no range of samples"),
        (matrix("text"), "the answer is no range of samples"),
        (matrix({"metric": {}, "histograms": []}), "gives histograms; ask for a number"),
        (matrix(one([(START, "many")])), "is no sample"),
        (matrix(one([(START, None)])), "is no sample"),
        (matrix(one([[START]])), "is no sample"),  # type: ignore[list-item]
        (matrix(), "gives no number in that range"),
        (matrix(one([(START, "NaN"), (START + 15, "+Inf")])), "gives no number in that range"),
        (matrix(one([(START, "-3")])), r"gives -3 at 2026-03-02T00:00:00Z, which is no demand; clamp it"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_no_demand_is_told(answer: Told, words: str) -> None:
    refused(lambda asked, _: answer, words)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    large = b" " * (MOST_BYTES + 100_000)
    refused(lambda asked, _: Told(large), "larger than 4096 KiB: aggregate the query")
    refused(lambda asked, _: Told(gzip.compress(large), encoding="gzip"), "larger than 4096 KiB: aggregate the query")


# ---- other samples than were asked for


@pytest.mark.parametrize("later", [-DAY, DAY, 7.0, float("nan")])
def test_samples_of_yesterday_are_not_taken_for_todays(later: float) -> None:
    refused(
        lambda asked, _: matrix(one(asked.samples(later=later))), "which was not asked for; is there a cache on the way"
    )


def test_a_page_that_repeats_the_one_before_is_not_taken_for_the_next() -> None:
    first: list[Told] = []

    def cached(asked: Asked, number: int) -> Told:
        first.append(well(asked))
        return first[0]

    refused(cached, r"page 2 of 2 .* a sample of 2026-03-02T00:00:00Z, which was not asked for", end=START + TWO_PAGES)


def test_times_between_seconds_are_asked_for_on_whole_steps() -> None:
    with faulty(well) as server:
        found = fetch(Prometheus(server.url), "up", start=START + 0.7, end=START + 60.4, step=15.0)
    assert [server.asked[0].start, server.asked[0].end] == [START, START + 60.0]
    assert list(found.times) == [START + 15.0 * place for place in range(5)]


# ---- several series


def test_several_series_are_told_with_what_would_make_them_one() -> None:
    def several(asked: Asked, _: int) -> Told:
        return matrix(*(one(asked.samples(), shop=shop) for shop in ("north", "south")))

    refused(several, r"more than one series; aggregate the query: sum\(sum\(orders\)\)")


def test_replicas_that_see_the_same_are_not_summed() -> None:
    def pair(asked: Asked, _: int) -> Told:
        return matrix(*(one(asked.samples(), prometheus_replica=name) for name in "ab"))

    refused(pair, r"a sum counts it twice: max without \(prometheus_replica\)")


def test_a_series_that_goes_on_under_another_name_is_another_series() -> None:
    refused(
        lambda asked, number: matrix(one(asked.samples(), instance=f"web-{number}")),
        "page 2 of 2 .* more than one series; aggregate the query",
        end=START + TWO_PAGES,
    )


# ---- gaps


def test_what_is_missing_or_no_number_is_a_gap_and_nothing_else() -> None:
    def holes(asked: Asked, _: int) -> Told:
        samples = asked.samples()
        samples[3], samples[4] = (samples[3][0], "NaN"), (samples[4][0], "+Inf")
        return matrix(one(samples[:10] + samples[15:-2]))

    found = fetched(holes)
    assert np.flatnonzero(np.isnan(found.values)).tolist() == [3, 4, 10, 11, 12, 13, 14, 99, 100]
    assert found.end == START + 1515.0


# ---- what is asked


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://prometheus", "http://", "http://prometheus/?query=up", "me:s3cret@prometheus"]
)
def test_an_address_that_is_none_is_told_with_one_that_is(url: str) -> None:
    with pytest.raises(InputError, match=r"is no URL of a server; give one like http://prometheus:9090") as told:
        Prometheus(url)
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("seconds", [-60.0, 0.0, 10.0])
def test_a_range_without_two_steps_is_told(seconds: float) -> None:
    with pytest.raises(InputError, match="give --from before --to"):
        fetch(Prometheus("http://127.0.0.1:1"), "up", start=START, end=START + seconds)


def test_a_range_from_the_year_1970_is_not_taken_for_the_last_week() -> None:
    done = CliRunner().invoke(app, ["backtest", "--prometheus", "http://127.0.0.1:1", "--query", "up", "--from", "0"])
    assert (done.exit_code, "give a later --from" in done.output) == (2, True), done.output


def test_a_range_without_end_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(InputError, match=f"more than {MOST_POINTS}; give a later --from"):
        fetch(Prometheus("http://127.0.0.1:1"), "up", start=0.0, end=START)


@pytest.mark.parametrize(
    ("option", "value"), [("--query", "up"), ("--from", "0"), ("--to", "9"), ("--prometheus-credentials", "/")]
)
def test_what_is_for_a_prometheus_is_not_dropped_without_one(option: str, value: str) -> None:
    done = CliRunner().invoke(app, ["backtest", option, value])
    assert (done.exit_code, f"{option} is of no use without --prometheus" in done.output) == (2, True), done.output


# ---- how far it is


def test_a_fetch_that_takes_long_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """To a log too, where plays say nothing."""
    monkeypatch.setattr(Steps, "EVERY", 0.0)
    given = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-04T00:00:00Z", "--policies", "always-on"]
    with faulty(well) as server:
        done = CliRunner().invoke(app, ["backtest", "--prometheus", server.url, "--query", "up", *given])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [f"page {page} of 3 from Prometheus" for page in (1, 2, 3)]
    assert "page" not in done.stdout


def test_what_is_soon_done_says_nothing_and_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 10.5, 11.0, 20.6, 21.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Steps("{done} of {of}", logged=True) as steps:
        for done in range(1, 6):
            steps(done, 5)
    assert capsys.readouterr().err.splitlines() == ["2 of 5", "4 of 5"]


def test_a_terminal_is_written_to_in_place(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Steps, "SILENT", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Steps("{done} of {of}") as steps:
        steps(1, 2)
    assert capsys.readouterr().err == "\r1 of 2\x1b[K\n"
