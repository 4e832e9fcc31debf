"""Run a command-line program in a fork of this process, which has imported it already.

Each case has a process of its own, as for a user, without the seconds that its imports take.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# A case that takes longer has hung.
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """How a program ended and what it printed, standard output and error together."""

    code: int
    output: str


def run_in_fork(program: Callable[[], None], folder: Path) -> Outcome:
    """Call ``program`` in a fork of this process, in ``folder``; a signal is a negative code."""
    with tempfile.TemporaryFile() as printed:
        # What waits in Python's buffers would be printed twice.
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _become(program, folder, printed.fileno())
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        output = printed.read().decode("utf-8", "replace")
    return Outcome(os.waitstatus_to_exitcode(status), output)


def _become(program: Callable[[], None], folder: Path, printed: int) -> None:
    """End this process as ``program`` would."""
    code = 0
    try:
        signal.alarm(TIMEOUT_SECONDS)
        os.chdir(folder)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        sys.stdout, sys.stderr = (
            os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
            for number in (1, 2)
        )
        program()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
