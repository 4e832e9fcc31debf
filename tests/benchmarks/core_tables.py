"""The workflow's way to the tables of pandas_tables.py, from the same files, in one process.

    .venv/bin/python tests/benchmarks/core_tables.py RUN OUTPUT

The workflow itself makes the stability in one job and all tables in another.
"""

import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Verdicts
from refusal_stability.statistics import judge_agreement, summaries, temperature
from refusal_stability.statistics.bootstrap import Resamples
from refusal_stability.statistics.run_arrays import make_grid
from refusal_stability.statistics.stability import stability

UNSTABLE_BELOW, THRESHOLDS = 0.8, (0.7, 0.75, 0.8, 0.85, 0.9)
RESAMPLES, SEED = 2000, 1


def main() -> None:
    run, output = map(Path, sys.argv[1:])
    parts, verdicts = {}, []
    for file in sorted(run.glob("verdicts/*/*.parquet")):
        judge, model = file.parent.name, file.stem
        table = storage.read_parquet(file, Verdicts)
        parts.setdefault(judge, []).append(stability(table.with_columns(model=pl.lit(model))))
        verdicts.append((judge, model, table))
    prompts = storage.read_parquet(run / "prompts.parquet", PromptInfo)
    stable = [(judge, pl.concat(tables)) for judge, tables in parts.items()]
    grid = make_grid(stable, verdicts, prompts["prompt_id"].to_list())
    resamples = Resamples(len(grid.prompt_ids), RESAMPLES, SEED)
    tables = {
        "models": summaries.models(grid, resamples, UNSTABLE_BELOW),
        "within_temperature": summaries.within_temperature(grid, resamples, UNSTABLE_BELOW),
        "scoring": summaries.scoring(grid, resamples, UNSTABLE_BELOW),
        "thresholds": summaries.thresholds(grid, THRESHOLDS),
        "temperature_pairs": temperature.temperature_pairs(grid, resamples),
        "judge_agreement": judge_agreement.judge_agreement(grid, resamples),
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_csv(output / f"{name}.csv")


if __name__ == "__main__":
    main()
