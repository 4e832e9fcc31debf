"""The experiment `adaptive`: what a two-phase sample finds, and what it saves at equal width."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import polars as pl

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.core.text import format_estimate
from refusal_stability.experiments.adaptive.estimator import (
    MEASURES,
    Estimate,
    audited,
    measure_of,
    of_first_phase,
    settled,
    two_phase,
)
from refusal_stability.statistics.run_arrays import MISSING, RunArrays

# (judge, models, prompts, seeds) -> hours and GPU-hours; None where nothing measured says it.
Hours = Callable[[str, Sequence[str], int, int], tuple[float | None, float | None]]


def adaptive(
    grid: RunArrays, first: Sequence[int], audit: float, seed: int, hours: Hours, replayed: bool
) -> pl.DataFrame:
    """Return a row a judge, model and measure, pooled over temperatures.

    Args:
        grid: with all labels of phase 1, and at least those of phase 2.
        first: seeds of phase 1.
        audit: share of the settled prompts that is asked in phase 2.
        seed: of the draw of the audit.
        hours: of a design.
        replayed: the grid has all labels, so that what was spared is known too.
    """
    early = np.isin(grid.seeds, list(first))
    rows = []
    for judge in grid.judges:
        for place, model in enumerate(grid.models):
            labels = grid.labels[judge][place]
            asked_at_all = (labels != MISSING).any(axis=(1, 2))
            labels = labels[asked_at_all]
            if not len(labels):
                continue
            of_first = labels[..., early]
            # With all seeds in phase 1 there is nothing left to spare.
            is_settled = settled(of_first) & ~early.all()
            audits = audited(is_settled, audit, seed)
            again = ~is_settled | audits
            taken = np.where(again[:, None, None] | early, labels, MISSING)
            counts = {
                "judge": judge,
                "model": model,
                "n_settled": int(is_settled.sum()),
                "n_audited": int(audits.sum()),
                "n_invalid": int(((taken >= len(VALID_LABELS)) & (taken != MISSING)).sum()),
            }
            asked = (len(labels), int(again.sum()))
            cost = _cost(hours, judge, model, asked, early, labels.shape[1])
            in_full = partial(_in_full, hours, judge, model, len(early))
            for measure in MEASURES:
                every = measure_of(labels, measure)
                found = two_phase(
                    of_first_phase(of_first, is_settled, measure),
                    np.where(again, every, np.nan),
                    is_settled,
                    measure,
                )
                row = counts | {"measure": measure, "n_prompts": found["n_prompts"]}
                for name in ("naive", "corrected", "bias"):
                    row |= _columns(name, found[name])
                unknown = Estimate(*[float("nan")] * 3)
                full = unknown
                if replayed:
                    none = np.zeros(len(labels), dtype=bool)
                    full = two_phase(every, every, none, measure)["corrected"]
                row |= _columns("full", full)
                rows.append(
                    row
                    | {"width_ratio": found["width_ratio"], **cost}
                    | _equal_width(found["width_ratio"], cost, in_full, len(labels))
                )
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def caption(table: pl.DataFrame, n_first: int, n_seeds: int) -> str:
    """Return what was found, in one to three sentences, for the first model."""
    rows = {
        row["measure"]: row for row in table.filter(model=table["model"][0]).iter_rows(named=True)
    }
    ssi, flips = rows["mean_ssi"], rows["flip_rate"]
    who = f"{ssi['model']} under {ssi['judge']}"
    if n_first >= n_seeds:
        return (
            f"Every seed of {who} is asked at once (experiments.adaptive.first_seeds): there is "
            "nothing to spare."
        )
    if ssi["corrected"] is None:
        return f"No prompt of {who} has a valid label, so nothing is known."
    estimate = format_estimate
    text = (
        f"After {n_first} of {n_seeds} seeds, {ssi['n_settled']} of {ssi['n_prompts']} prompts of "
        f"{who} are settled, {ssi['n_audited']} of which are audited. Mean SSI is "
        f"{estimate(ssi, 'corrected')} and the flip rate {estimate(flips, 'corrected')}; to take "
        f"settled prompts for stable would be off by {estimate(ssi, 'bias')} and "
        f"{estimate(flips, 'bias')}."
    )
    share = ssi["replies"] / ssi["replies_full"]
    saved = [_saving(rows[name]) for name in ("refusal_rate", "mean_ssi", "flip_rate")]
    known = [part for part in saved if part]
    text += f" It took {share:.0%} of all replies"
    text += f"; for intervals of equal width, that is {', '.join(known)}." if known else "."
    if ssi["gpu_hours"] is None:
        return text
    unit, name = (
        ("GPU-hours", "gpu_hours") if ssi["gpu_hours"] else ("hours without a GPU", "hours")
    )
    if ssi[f"{name}_equal_width"] is not None:
        text += (
            f" Mean SSI took {ssi[name]:.3g} {unit}, and would take "
            f"{ssi[f'{name}_equal_width']:.3g} in full."
        )
    return text


def _saving(row: dict) -> str:
    if row["saved"] is None:
        return ""
    word = "fewer" if row["saved"] >= 0 else "more"
    return f"{abs(row['saved']):.0%} {word} for the {MEASURES[row['measure']]}"


def _columns(name: str, of: Estimate) -> dict[str, float]:
    return {
        end: round(value, 12) + 0.0
        for end, value in ((name, of.value), (f"{name}_low", of.low), (f"{name}_high", of.high))
    }


def _in_full(
    hours: Hours, judge: str, model: str, seeds: int, prompts: int
) -> tuple[float | None, float | None]:
    return hours(judge, [model], prompts, seeds)


def _cost(
    hours: Hours, judge: str, model: str, prompts: tuple[int, int], early: np.ndarray, cells: int
) -> dict[str, float | None]:
    """Replies and hours of both phases.

    Args:
        prompts: of phase 1 and of phase 2.
        early: which seeds are those of phase 1, (seeds,).
        cells: temperatures, each with every seed.
    """
    seeds = (int(early.sum()), int((~early).sum()))
    parts = [hours(judge, [model], *of) for of in zip(prompts, seeds, strict=True) if 0 not in of]
    sums = [None if None in of else sum(of) for of in zip(*parts, strict=True)]
    return {
        "replies": cells * sum(np.multiply(prompts, seeds)),
        "replies_full": cells * prompts[0] * sum(seeds),
    } | dict(zip(("hours", "gpu_hours"), sums, strict=True))


def _equal_width(
    width_ratio: float,
    cost: dict,
    hours: Callable[[int], tuple[float | None, float | None]],
    n: int,
) -> dict[str, float | None]:
    """What the full design takes that is as precise: all seeds of fewer prompts."""
    names = ("prompts", "replies", "hours", "gpu_hours")
    if not width_ratio > 0:
        return {f"{name}_equal_width": None for name in names} | {"saved": None}
    prompts = n / width_ratio**2
    replies = cost["replies_full"] * prompts / n
    values = (prompts, replies, *hours(max(1, round(prompts))))
    return {f"{name}_equal_width": value for name, value in zip(names, values, strict=True)} | {
        "saved": 1 - cost["replies"] / replies
    }
