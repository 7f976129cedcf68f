"""The process that makes timetables: reads inputs, answers with timetables, and ends when nobody asks any more.

It is started by ``shell.solver`` and knows nothing of the cluster. Both ends are ours, so that what passes between them
may be pickled.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

LENGTH = struct.Struct(">Q")
"""What stands before each message: its length in bytes."""
NICE = 5
"""Steps of priority below the operator. Judgment."""


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the questions end. A timetable that cannot be made is answered with the error."""
    from tidegate.planning.shift.plan import timetable

    while len(head := questions.read(LENGTH.size)) == LENGTH.size:
        question = questions.read(*LENGTH.unpack(head))
        try:
            answer = pickle.dumps(timetable(pickle.loads(question)))  # noqa: S301 - from our own operator
        except Exception as error:  # noqa: BLE001 - whatever it is, the next question may have an answer
            answer = pickle.dumps(RuntimeError(repr(error)))
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


def main() -> None:
    """Step back behind the operator, and serve."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    os.nice(NICE)
    with suppress(OSError):  # not every system has it
        Path("/proc/self/oom_score_adj").write_text("1000")
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
