"""What every script of the workflow shares: a user's mistake is one line, not a traceback."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from refusal_stability.errors import RefusalStabilityError

# Polars names the error in words only.
_FULL = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)]


def run(main: Callable[[], None]) -> None:
    """Call ``main``; an error that the user can mend, or Ctrl-C, is one line and exit code 1."""
    try:
        main()
    except RefusalStabilityError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except Exception as error:
        full = next((text for text in _FULL if text in str(error)), None)
        if full is None:
            raise
        sys.exit(
            f"error: {full}, in {getattr(error, 'filename', None) or os.getcwd()} or the folder "
            "for temporary files. Hint: make room and run the same command again; what is finished "
            "is kept"
        )


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


def leave() -> None:
    """End the process at once, successfully, without Python's teardown.

    To take down all that vLLM imported takes 3.5 of the 12 CPU-seconds of a small cell. Only
    for a script whose files are written and that has no other process left.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
