"""The experiment `judge_noise`: how often a judge's label changes with nothing else changing."""

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl

from refusal_stability.core.labels import LABELS, VALID_LABELS
from refusal_stability.experiments.judge_noise.sample import TEXT
from refusal_stability.judging.rounds import CONDITIONS, SAMPLED
from refusal_stability.statistics.bootstrap import Resamples, near_one_interval, share_interval
from refusal_stability.statistics.frames import estimate

SIZE = len(VALID_LABELS)
# As the judge is asked in the run, however it is batched.
AS_IN_RUN = "as_in_run"
NONE = "none"
CHANGED, REPEATS, BETWEEN_CONDITIONS, BETWEEN_JUDGES, FROM_RUN = MEASURES = (
    "changed",
    "between_repeats",
    "between_conditions",
    "between_judges",
    "from_run",
)


@dataclass(frozen=True)
class Labels:
    """The labels of every text of a sample.

    Attributes:
        texts: keeps the contract NoiseSample; of each text, the weight counts.
        counts: {(judge, condition): (texts, 3)}, how often each valid label was given.
        invalid: {(judge, condition): labels that are none}.
        run: {judge: (texts,)}, the run's label, an index into LABELS; -1 where there is none.
    """

    texts: pl.DataFrame
    counts: dict[tuple[str, str], np.ndarray]
    invalid: dict[tuple[str, str], int]
    run: dict[str, np.ndarray]

    @property
    def judges(self) -> list[str]:
        """The judges, in their order."""
        return list(dict.fromkeys(judge for judge, _ in self.counts))

    def conditions(self, judge: str) -> list[str]:
        """The conditions under which a judge was asked."""
        return [condition for of, condition in self.counts if of == judge]


def labels_of(texts: pl.DataFrame, rejudged: pl.DataFrame, run: dict[str, pl.DataFrame]) -> Labels:
    """Return the labels of a sample.

    Args:
        texts: keeps the contract :class:`~schemas.stages.NoiseSample`.
        rejudged: keeps the contract :class:`~schemas.stages.Rejudged`.
        run: {judge: the run's texts}, from :func:`~experiments.judge_noise.sample.texts_of`.
    """
    place = texts.select(TEXT).with_row_index("place")
    coded = rejudged.with_columns(
        pl.col("condition").cast(pl.String),
        code=pl.col("label").cast(pl.Enum(LABELS)).to_physical().cast(pl.Int64),
    ).join(place, on=TEXT, how="inner")
    counts, invalid = {}, {}
    for judge in rejudged["judge"].unique(maintain_order=True):
        for condition in CONDITIONS:
            rows = coded.filter(judge=judge, condition=condition)
            if rows.is_empty():
                continue
            valid = rows.filter(pl.col("code") < SIZE)
            of = np.zeros((texts.height, SIZE))
            np.add.at(of, (valid["place"].to_numpy(), valid["code"].to_numpy()), 1)
            counts[judge, condition] = of
            invalid[judge, condition] = rows.height - valid.height
        alike = [counts[judge, of] for of in CONDITIONS[:3] if (judge, of) in counts]
        counts[judge, AS_IN_RUN] = sum(alike)
        invalid[judge, AS_IN_RUN] = sum(
            invalid[judge, of] for of in CONDITIONS[:3] if (judge, of) in invalid
        )
    codes = {}
    for judge, table in run.items():
        found = place.join(
            table.select(
                *TEXT, code=pl.col("label").cast(pl.Enum(LABELS)).to_physical().cast(pl.Int64)
            ),
            on=TEXT,
            how="left",
            maintain_order="left",
        )
        codes[judge] = found["code"].fill_null(-1).to_numpy()
    return Labels(texts, counts, invalid, codes)


def noise(labels: Labels, prompt_ids: list[str], resamples: Resamples) -> pl.DataFrame:
    """Return the table judge_noise.

    A text counts as many times as it stands for texts of the run. Intervals resample the prompts.

    Args:
        labels: of the sample.
        prompt_ids: of the run, which ``resamples`` resamples.
        resamples: of the prompts.
    """
    rows = []
    for judge in labels.judges:
        conditions = labels.conditions(judge)
        for condition in conditions:
            of = labels.counts[judge, condition]
            few = {"condition": condition, "n_invalid": labels.invalid[judge, condition]}
            rows.append((judge, few | {"measure": CHANGED}, changed(of)))
            rows.append((judge, few | {"measure": REPEATS}, within(of)))
            rows.append((judge, few | {"measure": FROM_RUN}, other_than(of, labels.run[judge])))
        single = [condition for condition in conditions if condition != AS_IN_RUN]
        for one, two in itertools.combinations(single, 2):
            rows.append(
                (
                    judge,
                    {
                        "condition": one,
                        "other_condition": two,
                        "measure": BETWEEN_CONDITIONS,
                        "n_invalid": labels.invalid[judge, one] + labels.invalid[judge, two],
                    },
                    across(labels.counts[judge, one], labels.counts[judge, two]),
                )
            )
    for one, two in itertools.combinations(labels.judges, 2):
        for condition in (AS_IN_RUN, SAMPLED):
            keys = (one, condition), (two, condition)
            if not all(key in labels.counts for key in keys):
                continue
            rows.append(
                (
                    one,
                    {
                        "other_judge": two,
                        "condition": condition,
                        "other_condition": condition,
                        "measure": BETWEEN_JUDGES,
                        "n_invalid": sum(labels.invalid[key] for key in keys),
                    },
                    across(*(labels.counts[key] for key in keys)),
                )
            )
    place = {prompt_id: number for number, prompt_id in enumerate(prompt_ids)}
    prompts = np.array([place[prompt_id] for prompt_id in labels.texts["prompt_id"]])
    weights = labels.texts["weight"].to_numpy()
    return pl.DataFrame(
        {"judge": judge, "other_judge": NONE, "other_condition": NONE}
        | keys
        | _weighted_mean(values, weights, prompts, resamples)
        for judge, keys, values in rows
    )


def changed(counts: np.ndarray) -> np.ndarray:
    """Return whether each text has more than one label, (texts,), of (texts, 3); nan if none."""
    n = counts.sum(axis=-1)
    return np.where(n > 1, (counts > 0).sum(axis=-1) > 1, np.nan)


def within(counts: np.ndarray) -> np.ndarray:
    """Return the share of pairs of repeats that differ, (texts,); free of how many there are."""
    n = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - (counts * (counts - 1)).sum(axis=-1) / np.where(n > 1, n * (n - 1), np.nan)


def across(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the share of pairs, one of ``a`` and one of ``b``, that differ, (texts,)."""
    pairs = a.sum(axis=-1) * b.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - (a * b).sum(axis=-1) / np.where(pairs > 0, pairs, np.nan)


def other_than(counts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the share of labels that are another than the one of ``codes``, (texts,)."""
    known = (codes >= 0) & (codes < SIZE) & (counts.sum(axis=-1) > 0)
    same = counts[np.arange(len(codes)), np.clip(codes, 0, SIZE - 1)]
    with np.errstate(invalid="ignore"):
        return np.where(known, 1 - same / counts.sum(axis=-1), np.nan)


def _weighted_mean(
    values: np.ndarray, weights: np.ndarray, prompts: np.ndarray, resamples: Resamples
) -> dict[str, object]:
    there = ~np.isnan(values)
    of, place = np.unique(prompts[there], return_inverse=True)
    if not there.any():
        empty = dict.fromkeys(("value", "value_low", "value_high"))
        return {"n_texts": 0, "n_changed": 0, **empty}
    sums = np.zeros((2, len(of)))
    np.add.at(sums[0], place, (values * weights)[there])
    np.add.at(sums[1], place, weights[there])
    total = sums.sum(axis=-1)
    drawn = resamples.sums(sums, of)
    with np.errstate(invalid="ignore", divide="ignore"):
        distribution = drawn[:, 0] / drawn[:, 1]
    value, n = np.array([total[0] / total[1]]), np.array([len(of)])
    # What changes is seldom: the interval is the one of what does not.
    low, high = (1 - of for of in near_one_interval(1 - distribution[:, None], 1 - value, n)[::-1])
    alike = share_interval(np.nan_to_num(distribution[:, None]), value, n)
    low, high = (
        np.where(np.isnan(bound), other, bound)
        for bound, other in zip((low, high), alike, strict=True)
    )
    found = estimate("value", value, np.clip(low, 0, 1), np.clip(high, 0, 1))
    columns = {name: None if np.isnan(of[0]) else float(of[0]) for name, of in found.items()}
    return {"n_texts": int(there.sum()), "n_changed": int((values[there] > 0).sum()), **columns}
