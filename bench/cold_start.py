"""How long a cold operator takes to its first plan, with many LiveEvents on the embedded API.

    python bench/cold_start.py --events 60000 [--output json]

Starts the embedded API with that many LiveEvents and a hundred ScalingPolicies in a process of its own, then the real
operator (kopf, informer, Lease) in another, and reads the operator's own log for its first plan. Prints seconds from
the operator's start to that plan and the operator's resident memory then.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "operator"), str(ROOT / "bench")]

GOAL_SECONDS = 15.0
POLICIES = 100


def serve(events: int, port: int) -> None:
    """The embedded API, loaded, until killed."""
    import asyncio

    from plan_scale import raw_events, raw_policies

    from tidegate.api.crd import all_crds
    from tidegate.embedded.cluster import EmbeddedCluster
    from tidegate.embedded.server import start

    async def run() -> None:
        cluster = EmbeddedCluster()
        for crd in all_crds():
            cluster.create(crd)
        for name in ("tidegate", *(f"shop-{n}" for n in range(POLICIES))):
            cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        now = time.time()
        for policy in raw_policies(5 * POLICIES):
            cluster.create(policy)
        for event in raw_events(events, POLICIES, now=now):
            cluster.create(event)
        await start(cluster, port=port)
        print("serving", flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(events: int, port: int) -> dict[str, float]:
    """Seconds and MiB of one cold start."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", "--events", str(events), "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    assert server.stdout is not None
    try:
        if "serving" not in server.stdout.readline():
            raise SystemExit("the embedded API did not start")
        return _operator(env, port)
    finally:
        server.kill()
        server.wait()


def _operator(env: dict[str, str], port: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "e",
                    "clusters": [{"name": "e", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "contexts": [{"name": "e", "context": {"cluster": "e", "user": "e"}}],
                    "users": [{"name": "e", "user": {}}],
                }
            )
        )
        env = {**env, "KUBECONFIG": str(kubeconfig), "TIDEGATE_LISTEN_PROBES": "0", "TIDEGATE_LISTEN_METRICS": "0"}
        begin = time.monotonic()
        operator = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "-m", "tidegate.shell.app", "--standalone", "-A"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
        )
        assert operator.stdout is not None
        try:
            for line in operator.stdout:
                found = re.search(r"first plan: (\d+) events, (\d+) targets", line)
                if found:
                    return {
                        "events": int(found[1]),
                        "targets": int(found[2]),
                        "seconds_to_first_plan": round(time.monotonic() - begin, 2),
                        "resident_mib": round(resident_mib(operator.pid), 1),
                    }
            raise SystemExit("the operator ended without a plan")
        finally:
            operator.kill()
            operator.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--port", type=int, default=8917)
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.events, args.port)
        return
    figures = measure(args.events, args.port)
    if args.output == "json":
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:22} {value:10}" + (f"   goal < {GOAL_SECONDS:g}" if name == "seconds_to_first_plan" else ""))


if __name__ == "__main__":
    main()
