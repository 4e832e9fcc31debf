"""How long the demo takes and how much memory, from an installed environment to the report.

    .venv/bin/python tests/benchmarks/demo.py [--cores 2]

Runs `make demo`'s two commands in a copy of the repository. Machines are noisy, so the time of a
bare `import vllm` on the same cores stands beside it, before and after, and the demo's time is
given in that unit too: compare the ratio, not the seconds.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.workspace import Workspace, copy_repository

DEMO = ("--configfile", "config/demo.yaml")
SAMPLE_SECONDS = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    cores = parser.parse_args().cores
    with tempfile.TemporaryDirectory() as folder:
        workspace = copy_repository(Path(folder))
        before = import_seconds(cores)
        done = threading.Event()
        peak = [0]
        watcher = threading.Thread(target=watch_memory, args=(done, peak))
        watcher.start()
        start = time.perf_counter()
        run(workspace, "--cores", str(cores))
        run(workspace, "--report", "results/demo/report.html")
        wall = time.perf_counter() - start
        done.set()
        watcher.join()
        unit = (before + import_seconds(cores)) / 2
        print(f"wall time            {wall:7.1f} s on {cores} cores")
        print(f"in imports of vLLM   {wall / unit:7.1f} (one, {cores} at once: {unit:.1f} s)")
        print(f"peak memory          {peak[0] / 2**30:7.2f} GiB, all processes (PSS)")
        print_stages(workspace.folder / "results/demo/benchmarks")


def run(workspace: Workspace, *arguments: str) -> None:
    result = workspace.snakemake(*DEMO, *arguments)
    if result.returncode != 0:
        sys.exit(result.stderr)


def import_seconds(cores: int) -> float:
    """Mean wall time of `import vllm`'s engine, in as many processes at once as there are cores."""
    code = "import os; from vllm import LLM; os._exit(0)"
    start = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
        for _ in range(cores)
    ]
    for process in processes:
        process.wait()
    return time.perf_counter() - start


def watch_memory(done: threading.Event, peak: list[int]) -> None:
    """Keep the largest sum over this process's descendants; PSS counts shared pages once."""
    me = psutil.Process()
    while not done.wait(SAMPLE_SECONDS):
        total = 0
        for process in me.children(recursive=True):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue  # It ended between being listed and being looked at.
        peak[0] = max(peak[0], total)


def print_stages(folder: Path) -> None:
    print(f"\n{'stage':20} {'jobs':>5} {'wall s a job':>13} {'CPU s a job':>12} {'peak MiB':>9}")
    for stage in sorted(path for path in folder.iterdir()):
        files = [stage] if stage.is_file() else sorted(stage.rglob("*.tsv"))
        rows = []
        for file in files:
            with file.open(encoding="utf-8") as lines:
                rows += csv.DictReader(lines, delimiter="\t")
        mean = {key: sum(float(row[key]) for row in rows) / len(rows) for key in ("s", "cpu_time")}
        memory = max(float(row["max_rss"]) for row in rows)
        means = f"{mean['s']:13.1f} {mean['cpu_time']:12.1f}"
        print(f"{stage.stem:20} {len(rows):5} {means} {memory:9.0f}")


if __name__ == "__main__":
    main()
