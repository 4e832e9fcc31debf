"""What a whole study would cost, done from its beginning: the plan of a run as a table."""

from typing import Any

import polars as pl

from refusal_stability.core.cells import cell_name
from refusal_stability.costs.amounts import Amount, Certainty
from refusal_stability.costs.plan import Work, make_plan, total
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

_AMOUNTS = ("calls", "input_tokens", "output_tokens", "hours", "gpu_hours")


def study_cost(settings: dict[str, Any]) -> pl.DataFrame:
    """Return the table `pilot_cost`: a row a model, a row a judge and model, and their sum.

    Args:
        settings: see :func:`costs.plan.make_plan`; of labels, which ask nobody, there
            are no `models`, and no row.
    """
    if "models" not in settings:
        return EXPERIMENT_TABLES["pilot_cost"].create_empty()
    works = _works(settings)
    if total(works).hours.certainty is Certainty.UNKNOWN and settings["sharing"] != "cell":
        # A shared engine was never timed; a pilot's engines serve a cell each.
        works = _works(settings | {"sharing": "cell"})
    rows = [_row(work) for work in (*works, total(works))]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(
        currency=pl.lit(settings.get("prices", {}).get("currency"), dtype=pl.String)
    )


def caption(table: pl.DataFrame) -> str:
    """Return what the study would cost, in one sentence or two."""
    if table.is_empty():
        return "What the full study would cost is not known of labels, which nobody was asked for."
    rows = table.rows(named=True)
    row = rows[-1]
    certainties = Certainty[row["calls_basis"].upper()], Certainty[row["hours_basis"].upper()]
    calls, tokens, hours, gpu_hours = (
        _amount(row, name, certainty).text(decimals)
        for name, certainty, decimals in (
            ("calls", certainties[0], 0),
            ("output_tokens", Certainty[row["tokens_basis"].upper()], 0),
            ("hours", certainties[1], 2),
            ("gpu_hours", certainties[1], 2),
        )
    )
    text = f"The full study is {row['jobs']:,} jobs with {calls} calls and {tokens} tokens written"
    if certainties[1] is Certainty.UNKNOWN:
        untimed = [
            r["judge"] if r["judge"] != "none" else r["model"]
            for r in rows[:-1]
            if r["hours"] is None
        ]
        return (
            f"{text}; how long it takes is not known, as no job of "
            f"{', '.join(dict.fromkeys(untimed))} was timed."
        )
    money = "" if row["money"] is None else f", {row['money']:,.2f} {row['currency']}"
    gpu = f"{gpu_hours} GPU-hours" if row["gpu_hours"] else "without a GPU"
    return f"{text}: {hours} hours, one job after another, {gpu}{money}."


def _works(settings: dict[str, Any]) -> list[Work]:
    run = settings["run"]
    names = [model["name"] for model in settings["models"]]
    pending = {
        f"{run}/responses/{name}/{cell_name(temperature, seed)}.parquet"
        for name in names
        for temperature in settings["temperatures"]
        for seed in settings["seeds"]
    } | {f"{run}/verdicts/{j['name']}/{name}.parquet" for j in settings["judges"] for name in names}
    return make_plan(settings, pending).works


def _row(work: Work) -> dict[str, Any]:
    amounts = {name: getattr(work, name) for name in _AMOUNTS}
    tokens = max(work.input_tokens.certainty, work.output_tokens.certainty)
    money = work.money
    return {
        "stage": work.stage if work.stage != "total" else "all",
        "model": work.model or "all",
        "judge": work.judge or ("none" if work.model else "all"),
        "jobs": work.jobs,
        **{name: _known(amount) for name, amount in amounts.items()},
        "money": None if money is None else _known(money),
        "calls_basis": work.calls.certainty.name.lower(),
        "tokens_basis": tokens.name.lower(),
        "hours_basis": max(work.hours.certainty, work.gpu_hours.certainty).name.lower(),
    }


def _known(amount: Amount) -> float | None:
    return None if amount.certainty is Certainty.UNKNOWN else float(amount.value)


def _amount(row: dict[str, Any], name: str, certainty: Certainty) -> Amount:
    return Amount(row[name] if row[name] is not None else 0.0, certainty)
