"""What one ladder costs: CPU of the real ffmpeg for a made-up stream, with the arguments that the workers use.

Run: python bench/ladder.py [SECONDS]     (needs ffmpeg; the extra [stacks])
The picture is a moving test pattern with noise, harder than a talking face and easier than sports.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tidegate_stacks.transcode import LADDER, ladder_arguments, megapixels

FRAMES = 30
SOURCE_HEIGHT = 720


def cpu_seconds(command: list[str]) -> float:
    """CPU that a command takes, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(seconds: int) -> None:
    """Measure decoding alone, each rung alone, and the ladder."""
    ffmpeg = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    with tempfile.TemporaryDirectory() as folder:
        source = str(Path(folder) / "source.flv")
        picture = f"testsrc2=size={SOURCE_HEIGHT * 16 // 9}x{SOURCE_HEIGHT}:rate={FRAMES},noise=alls=12:allf=t"
        made = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine", "-t", str(seconds)]
        subprocess.run(
            [*ffmpeg, *made, "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "5M", "-c:a", "aac", source], check=True
        )
        decode = cpu_seconds([*ffmpeg, "-i", source, "-f", "null", "-"]) / seconds
        print(f"{os.cpu_count()} cores; {seconds} s at {SOURCE_HEIGHT} lines, {FRAMES} frames a second")
        print(f"decoding: {1000 * decode:.0f}m, {1000 * decode / megapixels(SOURCE_HEIGHT, FRAMES):.1f}m a megapixel/s")
        for rungs in (*((rung,) for rung in LADDER), LADDER):
            arguments = ladder_arguments(rungs, outputs=[["-f", "null", "-"]] * len(rungs))
            took = cpu_seconds([*ffmpeg, "-i", source, *arguments]) / seconds
            area = sum(megapixels(rung.height, FRAMES) for rung in rungs)
            names = " ".join(rung.name for rung in rungs)
            print(
                f"{names}: {1000 * took:.0f}m with decoding, {1000 * (took - decode) / area:.1f}m a megapixel/s without"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
