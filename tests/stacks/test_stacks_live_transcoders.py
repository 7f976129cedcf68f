"""Transcoders: who takes which stream, and the real ffmpeg's ladder through a real RTMP server."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ground = pytest.importorskip("ground", reason="needs the extra [stacks]: make test-ground")

from web import PATIENCE, Reply, free_port, origin, wait_for  # noqa: E402

from tidegate.api.parse import parse_policy  # noqa: E402
from tidegate_stacks import live, transcode  # noqa: E402

pytestmark = pytest.mark.timeout(180)
SCRIPTS = Path(transcode.__file__).parent / "scripts"
WORKERS = [f"10.0.{number}.7" for number in range(6)]
STREAMS = [f"room-{number}" for number in range(20)]


def assigned(folder: Path, workers: list[str], streams: list[str], most: int) -> dict[str, list[str]]:
    """Streams by worker, as each of them computes its own."""
    (folder / "workers").write_text("".join(f"{one}\n" for one in workers))
    (folder / "streams").write_text("".join(f"{one}\n" for one in streams))
    made = {}
    for me in workers:
        awk = ["awk", "-v", f"me={me}", "-v", f"most={most}", "-f", str(SCRIPTS / "assign.awk"), "workers", "streams"]
        made[me] = subprocess.run(awk, cwd=folder, check=True, capture_output=True, text=True).stdout.split()
    return made


def test_every_stream_has_one_worker_and_no_worker_more_than_its_share(tmp_path: Path) -> None:
    made = assigned(tmp_path, WORKERS, STREAMS, 4)
    assert sorted(stream for mine in made.values() for stream in mine) == sorted(STREAMS)
    assert max(map(len, made.values())) <= 4
    assert assigned(tmp_path, WORKERS[::-1], STREAMS[::-1], 4) == {me: made[me] for me in WORKERS[::-1]}


def test_what_does_not_fit_waits_and_nobody_takes_more(tmp_path: Path) -> None:
    made = assigned(tmp_path, WORKERS, STREAMS, 2)
    assert [len(mine) for mine in made.values()] == [2] * 6


def test_a_worker_that_comes_moves_few_streams(tmp_path: Path) -> None:
    before = assigned(tmp_path, WORKERS[:-1], STREAMS, 8)
    after = assigned(tmp_path, WORKERS, STREAMS, 8)
    stayed = sum(len(set(before[me]) & set(after[me])) for me in before)
    assert len(after[WORKERS[-1]]) >= 1
    assert stayed >= len(STREAMS) - len(after[WORKERS[-1]]) - 2
    assert max(map(len, after.values())) <= 7, "names alone give nobody far more than a share"


def test_a_name_that_a_shell_could_misread_is_no_stream(tmp_path: Path) -> None:
    made = assigned(tmp_path, WORKERS[:1], ["room", "../room", "a;b", "-v", "$(id)", ".x", "", "a/b"], 9)
    assert made == {WORKERS[0]: ["room"]}


# ---- sizes


def arguments(**rest: Any) -> transcode.TranscodersArgs:
    given = {"namespace": "shop", "normal_streams": 10, "peak_streams": 400, "image": "shop/ffmpeg:7"}
    places = {"streams_url": "http://rooms/live", "source": "relay:1935/live", "sink": "publish:1935/rungs"}
    return transcode.TranscodersArgs.model_validate({**given, **places, **rest})


def test_the_level_follows_from_the_ladder() -> None:
    args = arguments()
    each = transcode.streams_per_pod(args)
    assert each == 8000 * transcode.USE_PERCENT // 100 // transcode.ladder_millis(args.rungs, 1080, 30)
    assert transcode.range_of(args).most == -(-400 // each)
    one_rung = arguments(rungs=args.rungs[-1:])
    assert transcode.streams_per_pod(one_rung) > each, "a shorter ladder leaves room for more streams"
    (target,) = transcode.targets("ladder", args)
    assert (target["capacity"], target["max"]) == ({"live_streams": each}, transcode.range_of(args).most)
    (hpa,) = [one for one in transcode.worker_objects("ladder", args) if one["kind"] == "HorizontalPodAutoscaler"]
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (target["min"], target["max"])


def test_a_ladder_that_is_too_much_for_a_pod_is_refused_with_what_would_do() -> None:
    with pytest.raises(
        ValueError, match=r"cpu 500m is too little for the ladder of one stream: give [0-9]+m, or fewer"
    ):
        arguments(cpu="500m")
    with pytest.raises(ValueError, match="names p720 twice: each rung is a stream of its own name"):
        arguments(rungs=transcode.LADDER[:1] * 2)
    with pytest.raises(ValueError, match="5 is below normal_streams 10: raise it or lower that"):
        arguments(peak_streams=5)


def test_the_component_makes_a_policy_that_the_operator_accepts() -> None:
    found = ground.lay(lambda: live.Transcoders("ladder", arguments(key_secret="ladder-key")))[1]
    (policy,) = [one for one in found.objects if one.kind == "ScalingPolicy"]
    assert [target.name for target in parse_policy(policy.inputs).targets] == ["ladder"]
    worker = found.find("Deployment", "ladder").inputs["spec"]["template"]["spec"]["containers"][0]
    env = {one["name"]: one.get("value", one.get("valueFrom")) for one in worker["env"]}
    assert env["WORKERS"] == "ladder.shop.svc"
    assert env["KEY"] == {"secretKeyRef": {"name": "ladder-key", "key": "key"}}
    assert found.find("Service", "ladder").inputs["spec"]["clusterIP"] == "None"
    closed = found.find("NetworkPolicy", "ladder").inputs["spec"]
    assert (closed["policyTypes"], closed.get("ingress", [])) == (["Ingress"], []), "nobody reaches a worker"


# ---- the worker, as a process


class Worker:
    """transcode.sh, with a folder as its pod. ``programs``: stand-ins for programs, by name."""

    def __init__(self, folder: Path, streams_url: str, programs: dict[str, str], rungs: Any = transcode.LADDER) -> None:
        self.folder = folder
        for name, text in transcode.scripts(arguments(rungs=rungs)).items():
            (folder / name).write_text(text)
        (folder / "bin").mkdir()
        for name, text in programs.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / "bin" / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "POD_IP": "127.0.0.1",
            "WORKERS": "workers",
            "STREAMS_URL": streams_url,
            "MOST": "2",
            "HERE": str(folder),
            "RUN": str(folder / "run"),
            "EVERY": "0.3",
        }

    def start(self, **rest: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", str(self.folder / "transcode.sh")], env={**self.environment, **rest}, stdout=log, stderr=log
            )

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    @property
    def jobs(self) -> set[str]:
        return {one.name for one in (self.folder / "run" / "jobs").glob("*")}


FFMPEG_THAT_WAITS = """\
case "$*" in
  *"-f data"*) cat "$LIST" >"$RUN/streams.new" ;;
  *) exec sleep 600 ;;
esac"""
GETENT = 'cat "$ADDRESSES"'


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path, "http://unused/", {"ffmpeg": FFMPEG_THAT_WAITS, "getent": GETENT})
    (tmp_path / "addresses").write_text("127.0.0.1 STREAM workers\n127.0.0.1 DGRAM\n")
    (tmp_path / "list").write_text("a\nb\n")
    made.start(LIST=str(tmp_path / "list"), ADDRESSES=str(tmp_path / "addresses"))
    yield made
    made.stop()


def test_a_worker_begins_ends_and_begins_again_what_is_its_own(worker: Worker) -> None:
    wait_for(lambda: worker.jobs == {"a", "b"}, "the streams are not begun")
    (worker.folder / "list").write_text("b\nc\n")
    wait_for(lambda: worker.jobs == {"b", "c"}, "what has ended is not ended")
    pid = (worker.folder / "run/jobs/b").read_text()
    subprocess.run(["kill", pid.strip()], check=True)
    wait_for(lambda: (worker.folder / "run/jobs/b").exists() and (worker.folder / "run/jobs/b").read_text() != pid, "b")
    worker.stop()
    for job in (worker.folder / "run/jobs").glob("*"):
        assert not Path(f"/proc/{job.read_text().strip()}").exists(), "it leaves no ffmpeg behind"
    worker.start(LIST=str(worker.folder / "list"), ADDRESSES=str(worker.folder / "addresses"))


def test_a_list_or_a_name_server_that_does_not_answer_stops_no_stream(worker: Worker) -> None:
    wait_for(lambda: worker.jobs == {"a", "b"}, "the streams are not begun")
    (worker.folder / "list").unlink()
    (worker.folder / "addresses").unlink()
    alive = worker.folder / "run/alive"
    for _ in range(2):
        before = alive.read_text()
        wait_for(lambda before=before: alive.read_text() not in ("", before), "the worker stands still")
    assert worker.jobs == {"a", "b"}


def test_no_key_is_in_what_a_worker_says(tmp_path: Path) -> None:
    fails = FFMPEG_THAT_WAITS.replace("exec sleep 600", 'echo "$*: Connection refused" >&2')
    worker = Worker(tmp_path, "http://unused/", {"ffmpeg": fails, "getent": GETENT})
    (tmp_path / "addresses").write_text("127.0.0.1 STREAM workers\n")
    (tmp_path / "list").write_text("a\n")
    said = tmp_path / "log"
    worker.start(
        LIST=str(tmp_path / "list"),
        ADDRESSES=str(tmp_path / "addresses"),
        SINK="sink/rungs",
        KEY="s3:cret/+",
        SOURCE="x",
    )
    wait_for(lambda: "Connection refused" in said.read_text(), "a worker says what went wrong at once")
    worker.stop()
    assert "rtmp://sink/rungs/a_p720?key=..." in said.read_text()
    assert "cret" not in said.read_text()


RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


@pytest.mark.skipif(
    not (RTMP_MODULE.exists() and shutil.which("ffmpeg") and shutil.which("ffprobe")),
    reason="needs ffmpeg, and nginx with its rtmp module (Debian: ffmpeg, libnginx-mod-rtmp)",
)
def test_a_published_stream_comes_back_as_its_ladder(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "rtmp.conf").write_text(
        f"load_module {RTMP_MODULE};\nuser {tmp_path.owner()};\npid {tmp_path}/rtmp.pid;\n"
        f"error_log {tmp_path}/rtmp.log;\ndaemon off;\nworker_processes 1;\nevents {{}}\n"
        f"rtmp {{ server {{ listen 127.0.0.1:{port};\n"
        "application live { live on; } application rungs { live on; } } }\n"
    )
    rungs = ({"name": "p180", "height": 180, "video_kbps": 150}, {"name": "p96", "height": 96, "video_kbps": 60})
    source = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-f", "lavfi", "-i", "sine", "-g", "10"]
    encoded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv"]
    (tmp_path / "worker").mkdir()
    with origin(lambda _: Reply(b"room\n")) as rooms:
        worker = Worker(tmp_path / "worker", f"http://{rooms.address}/live", {"getent": "echo 127.0.0.1 STREAM"}, rungs)
        server = subprocess.Popen(["nginx", "-c", str(tmp_path / "rtmp.conf")])
        publish = subprocess.Popen(
            ["ffmpeg", "-nostdin", "-v", "error", *source, *encoded, f"rtmp://127.0.0.1:{port}/live/room"]
        )
        try:
            worker.start(SOURCE=f"127.0.0.1:{port}/live", SINK=f"127.0.0.1:{port}/rungs")
            for rung in rungs:
                place = f"rtmp://127.0.0.1:{port}/rungs/room_{rung['name']}"
                wait_for(lambda place=place, rung=rung: probed(place) == rung["height"], f"{place} does not come")
        finally:
            worker.stop()
            for process in (publish, server):
                process.terminate()
                process.wait(PATIENCE)
        assert set(rooms.asked) == {"/live"}


def probed(place: str) -> int:
    """Lines of a stream's picture; 0 while it is not there."""
    shown = [
        "-analyzeduration",
        "500000",
        "-probesize",
        "100000",
        "-show_entries",
        "stream=height",
        "-select_streams",
        "v",
        "-of",
        "csv=p=0",
    ]
    try:
        found = subprocess.run(
            ["ffprobe", "-v", "quiet", *shown, place], check=False, capture_output=True, text=True, timeout=20
        )
    except subprocess.TimeoutExpired:
        return 0
    return int(found.stdout.split()[0]) if found.stdout.split() else 0
