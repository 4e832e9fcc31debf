"""What a process takes: seconds on the clock, seconds of CPU, and peak memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


@dataclass(frozen=True)
class Cost:
    """Of one process and those it waited for: seconds, and MiB of the largest of them."""

    wall: float
    cpu: float
    memory: float


def run(
    *command: object, folder: Path | None = None, environment: dict[str, str] | None = None
) -> Cost:
    """Run a command to its end and return what it took; it must succeed."""
    words = list(map(str, command))
    with tempfile.NamedTemporaryFile("w+") as cost, tempfile.TemporaryFile("w+") as output:
        # This file again: Linux counts the memory of who starts a process as that process's own,
        # and the benchmark holds much.
        status = subprocess.run(
            [sys.executable, __file__, cost.name, *words],
            cwd=folder,
            # One thread for an engine, as Snakemake gives its jobs.
            env=os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
        if status != 0:
            output.seek(0)
            sys.exit(f"{' '.join(words)[:300]} failed:\n{output.read()[-3000:]}")
        return Cost(**json.load(cost))


def run_script(name: str, *arguments: object) -> Cost:
    """Run a script of the workflow as its rule does."""
    return run(sys.executable, SCRIPTS / f"{name}.py", *arguments)


def _measure(path: str, *command: str) -> int:
    start = time.perf_counter()
    process = subprocess.Popen(command)
    # Unlike `wait`, it tells what this one process took.
    _, status, usage = os.wait4(process.pid, 0)
    cost = {
        "wall": time.perf_counter() - start,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
    }
    Path(path).write_text(json.dumps(cost), encoding="utf-8")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_measure(*sys.argv[1:]))
