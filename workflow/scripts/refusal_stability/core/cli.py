"""What every script of the workflow shares: a user's mistake is one line, not a traceback."""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from refusal_stability.core.errors import RefusalStabilityError

# Polars names the error in words only.
_FULL = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]
# Seconds for a worker process to end; it also ends by itself when this one is gone.
_PATIENCE = 10
# What is to be done before the process ends.
_clean_ups: list[Callable[[], None]] = []


def run(main: Callable[[], None]) -> NoReturn:
    """Call ``main`` and end the process: with exit code 0, or 1 and what went wrong.

    An error that the user can fix, or Ctrl-C, is one line. Python's teardown is left out: threads
    that libraries leave running, such as those of ``datasets`` and PyArrow, may abort the process
    there, with exit code 134 and a line of theirs; and to take down all that vLLM imported takes
    3.5 of the 12 CPU-seconds of a small cell.
    """
    try:
        main()
    except RefusalStabilityError as error:
        _fail(f"error: {error}")
    except KeyboardInterrupt:
        _fail("interrupted")
    except SystemExit as error:
        # As argparse ends, after it has said why.
        if isinstance(error.code, str):
            _fail(error.code)
        _end(error.code or 0)
    # Polars' panics are no Exception.
    except BaseException as error:
        full = next((text for text in _FULL if text in str(error)), None)
        if full is None:
            _fail("".join(traceback.format_exception(error)).rstrip())
        _fail(
            f"error: {full}, in {getattr(error, 'filename', None) or os.getcwd()} or the folder "
            "for temporary files. Hint: make room and run the same command again; what is finished "
            "is kept"
        )
    _end(0)


def clean_up_with(action: Callable[[], None]) -> None:
    """Have ``action`` called before this process ends, by itself or by SIGTERM.

    That is how Slurm ends a job that is cancelled, preempted or out of time; some seconds later it
    kills what is left.
    """
    process = os.getpid()

    def terminate(number: int, _: object) -> None:
        # Processes that this one has forked have the same handler, and nothing to clean up.
        if os.getpid() == process:
            _clean_up()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if not _clean_ups:
        signal.signal(signal.SIGTERM, terminate)
    _clean_ups.append(action)


def _fail(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    _end(1)


def _end(code: int) -> NoReturn:
    _clean_up()
    # Worker processes of an engine that failed still hold its GPUs.
    if "multiprocessing" in sys.modules:
        children = sys.modules["multiprocessing"].active_children()
        for child in children:
            child.terminate()
        for child in children:
            child.join(_PATIENCE)
    for stream in (sys.stdout, sys.stderr):
        # None where it was closed before the start.
        if stream is not None:
            stream.flush()
    os._exit(code)


def _clean_up() -> None:
    for action in _clean_ups:
        action()


def prefer_this_python() -> None:
    """Let jobs without a conda environment run in the Python that runs Snakemake.

    Otherwise they would find it only where its virtual environment is activated.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def prefer_conda_environments() -> None:
    """Let jobs run in their conda environments and in nothing else.

    Conda puts a job's environment where the active one was in PATH, which is behind an activated
    virtual environment: the job would run in that, so it is taken out. Packages that the user
    installed for himself (pip install --user) would be imported before those of the environment.
    """
    os.environ["PYTHONNOUSERSITE"] = "1"
    if sys.prefix != sys.base_prefix:
        own = str(Path(sys.executable).parent)
        others = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own]
        os.environ["PATH"] = os.pathsep.join(others)
