"""How long every table of a run takes, and how much memory, from its verdicts.

    .venv/bin/python tests/benchmarks/tables.py [--models 4] [--prompts 876] [--samples 20]

Draws labels of two judges, 4 temperatures, and runs the scripts of `stability` (a process a
judge) and `statistics` (one process, bootstrap of 2,000 included) on them, as the workflow does:
linear algebra has one thread, as Snakemake tells a job of one core.
The study has 4 models x 876 prompts x 20 samples; 20 million labels are, for example,
--models 25 --prompts 20000. The time of a bare `import polars, scipy.stats, dataframely` beside
it is a unit for noisy machines.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Verdicts

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
TEMPERATURES = (0.0, 0.3, 0.7, 1.0)
SETTINGS = {
    "unstable_below": 0.8,
    "max_invalid_share": 0.01,
    "bootstrap_resamples": 2000,
    "bootstrap_seed": 1,
}
IMPORTS = "import polars, scipy.stats, dataframely"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--prompts", type=int, default=876)
    parser.add_argument("--samples", type=int, default=20, help="a multiple of 4")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        draw(run, args.models, args.prompts, args.samples)
        labels = 2 * args.models * args.prompts * args.samples
        print(f"{labels:,} labels: 2 judges x {args.models} models x {args.prompts} prompts")
        unit, unit_cpu, _ = measured("-c", IMPORTS)
        print(f"import       {unit:7.2f} s, {unit_cpu:6.2f} s of CPU")
        statistics = (
            *("--settings", json.dumps(SETTINGS), "--prompts", run / "prompts.parquet"),
            *("--stability", run / "stability/a.parquet", run / "stability/b.parquet"),
            *("--verdicts", *sorted(run.glob("verdicts/*/*.parquet"))),
        )
        of_judge = {judge: sorted(run.glob(f"verdicts/{judge}/*.parquet")) for judge in ("a", "b")}
        jobs = {
            "stability a": ("stability", "stability/a.parquet", "--verdicts", *of_judge["a"]),
            "stability b": ("stability", "stability/b.parquet", "--verdicts", *of_judge["b"]),
            "statistics": ("tables", "tables", *statistics),
        }
        total = 0.0
        for name, (script, output, *arguments) in jobs.items():
            command = (SCRIPTS / f"{script}.py", *arguments, "--output", run / output)
            seconds, cpu, peak = measured(*command)
            print(
                f"{name:12} {seconds:7.2f} s, {cpu:6.2f} s of CPU, {seconds / unit:5.1f} imports, "
                f"{peak:6.2f} GiB"
            )
            total += seconds
        print(f"together     {total:7.2f} s")


def measured(*command: object) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak GiB of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *map(str, command)], env=os.environ | one_thread)
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            try:
                peak[0] = max(peak[0], psutil.Process(process.pid).memory_info().rss)
            except psutil.Error:
                return
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if process.wait() != 0:
        sys.exit(f"{command[0]} failed")
    seconds = time.perf_counter() - start
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, peak[0] / 2**30


def draw(run: Path, models: int, prompts: int, samples: int) -> None:
    """Write verdicts like those of the study: most prompts never flip; a judge errs at times."""
    rng = np.random.default_rng(1)
    ids = np.array([f"{i:012x}" for i in range(prompts)])
    info = pl.DataFrame(
        {
            "prompt_id": ids,
            "source": rng.choice(["one", "two"], prompts),
            "category": rng.choice([f"category {i}" for i in range(14)], prompts),
        }
    )
    storage.write_parquet(info, run / "prompts.parquet", PromptInfo)
    n = prompts * samples
    seeds = samples // len(TEMPERATURES)
    keys = pl.DataFrame(
        {
            "prompt_id": np.repeat(ids, samples),
            "temperature": np.tile(np.repeat(TEMPERATURES, seeds), prompts),
            "seed": np.tile(np.tile(np.arange(seeds), len(TEMPERATURES)), prompts),
        }
    )
    nothing = pl.lit(None, dtype=pl.Float64)
    for model in range(models):
        kind = rng.choice(4, prompts, p=[0.65, 0.03, 0.07, 0.25])[:, None]
        shares = np.where(
            kind < 3, np.eye(3)[np.minimum(kind[:, 0], 2)], rng.dirichlet([1] * 3, prompts)
        )
        true = (rng.random((n, 1)) > np.repeat(shares.cumsum(axis=1), samples, axis=0)[:, :2]).sum(
            1
        )
        for judge, error in (("a", 0.02), ("b", 0.08)):
            given = np.where(rng.random(n) < error, rng.integers(0, 3, n), true)
            table = keys.with_columns(
                label=pl.Series(np.array(VALID_LABELS)[given]),
                reason=pl.lit(None, dtype=pl.String),
                response_sha256=pl.lit(None, dtype=pl.String),
                p_refuse=nothing,
                p_partial=nothing,
                p_comply=nothing,
            )
            path = run / "verdicts" / judge / f"model-{model:02}.parquet"
            storage.write_parquet(table, path, Verdicts)


if __name__ == "__main__":
    main()
