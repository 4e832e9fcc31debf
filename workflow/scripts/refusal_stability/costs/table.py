"""What a run did cost: calls, tokens, time, GPU-hours and money of the jobs behind its files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability.core.errors import InputError
from refusal_stability.costs import prices
from refusal_stability.costs.amounts import UNKNOWN, Amount
from refusal_stability.costs.job_records import Job, cell_job, judge_job
from refusal_stability.schemas.tables import COST

# What adds up over jobs; a sum is null where a part is.
_SUMS = ("calls", "n_invalid", "input_tokens", "output_tokens", "seconds", "gpu_hours", "money")


def cost_table(
    run: Path,
    models: Sequence[str],
    judges: Sequence[str],
    cells: Sequence[str],
    price_list: dict[str, Any],
) -> pl.DataFrame:
    """Return the table `cost`: a row a model, a row a judge and model, and their sum.

    Args:
        run: folder of the run.
        models: names of its models.
        judges: names of its judges.
        cells: names of the cells of each model, such as "T0.7_seed42".
        price_list: the key `prices` of the configuration; may be empty.

    Raises:
        InputError: a manifest is missing or cannot be read.
    """
    rows = []
    for model in models:
        jobs = [
            _found(cell_job(run, model, cell), run / f"responses/{model}/{cell}") for cell in cells
        ]
        rows.append(_row("generate", "none", model, jobs, price_list))
    for judge in judges:
        for model in models:
            job = _found(judge_job(run, judge, model), run / f"verdicts/{judge}/{model}")
            rows.append(_row("judge", judge, model, [job], price_list))
    everything = {name: _sum(row[name] for row in rows) for name in ("jobs", *_SUMS)}
    # Of replies there is no verdict yet to be invalid.
    everything["n_invalid"] = _sum(row["n_invalid"] for row in rows if row["stage"] == "judge")
    rows.append({"stage": "all", "judge": "all", "model": "all", **everything})
    return (
        pl.DataFrame(rows, infer_schema_length=None)
        .with_columns(
            # Of no calls there is no mean.
            tokens_per_call=pl.when(pl.col("calls") > 0).then(
                (pl.col("output_tokens") / pl.col("calls")).round(3)
            ),
        )
        .with_columns(currency=pl.lit(price_list.get("currency"), dtype=pl.String))
        .select(COST.column_names())
    )


def _found(job: Job | None, name: Path) -> Job:
    if job is None:
        raise InputError(
            f"{name}.json: no manifest that can be read. Hint: delete {name}.parquet too, and run "
            "snakemake again"
        )
    return job


def _row(
    stage: str, judge: str, model: str, jobs: Sequence[Job], price_list: dict[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {"stage": stage, "judge": judge, "model": model, "jobs": len(jobs)}
    for name in _SUMS[:-1]:
        measure = "paid_calls" if name == "calls" else name
        row[name] = _sum(getattr(job, measure) for job in jobs)
    if stage == "generate":
        row["n_invalid"] = None
    amounts = (_amount(row[name]) for name in ("gpu_hours", "input_tokens", "output_tokens"))
    money = prices.money(price_list, jobs[0].entry, *amounts)
    row["money"] = None if money in (None, UNKNOWN) else round(money.value, 6)
    return row


def _sum(values: Iterable[float | None]) -> float | None:
    values = list(values)
    # 182.1 + 107.01 is 289.11, and no digit more.
    return None if None in values else round(sum(values), 6)


def _amount(value: float | None) -> Amount:
    return UNKNOWN if value is None else Amount(value)
