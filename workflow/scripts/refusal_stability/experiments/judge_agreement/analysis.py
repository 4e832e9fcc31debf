"""The experiment `judge_agreement`: how alike judges label, from a sample that stands for all."""

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl

from refusal_stability.core.labels import LABELS, VALID_LABELS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.experiments.judge_agreement.sample import RESPONSE, STRATA
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples, near_one_interval, share_interval
from refusal_stability.statistics.frames import estimate, frame
from refusal_stability.statistics.judge_agreement import SIZE, STATISTICS, agreement
from refusal_stability.statistics.run_arrays import Judged

_CELLS = SIZE**2


@dataclass(frozen=True)
class Sample:
    """The sample, its labels and what it stands for.

    Attributes:
        models, prompt_ids: what the axes stand for.
        rows: the sampled responses.
        labels: {judge: (rows,)}, an index into LABELS; -1 where a judge has no verdict.
        model, stratum, prompt: of each row, its place on the axes.
        sizes: (models, strata, prompts), responses of the run.
    """

    models: list[str]
    prompt_ids: list[str]
    rows: pl.DataFrame
    labels: dict[str, np.ndarray]
    model: np.ndarray
    stratum: np.ndarray
    prompt: np.ndarray
    sizes: np.ndarray

    @property
    def models_and_all(self) -> list[str]:
        """The models, then the word for the responses of all of them."""
        return [*self.models, ALL_MODELS]


def labelled(responses: pl.DataFrame, sample: pl.DataFrame, judged: Judged) -> Sample:
    """Return the sample with what every judge says of it.

    Args:
        responses: every response, from :func:`~experiments.judge_agreement.sample.strata_of`.
        sample: some of these.
        judged: verdicts by judge and model, on more than the sample or less.
    """
    models = responses["model"].unique(maintain_order=True).to_list()
    prompt_ids = responses["prompt_id"].unique(maintain_order=True).to_list()
    codes = {}
    for judge in dict.fromkeys(judge for judge, _ in judged):
        verdicts = pl.concat(
            table.select(
                pl.lit(model).alias("model"),
                *RESPONSE,
                code=pl.col("label").cast(pl.Enum(LABELS)).to_physical().cast(pl.Int64),
            )
            for (name, model), table in judged.items()
            if name == judge
        )
        found = sample.join(verdicts, on=["model", *RESPONSE], how="left", maintain_order="left")
        codes[judge] = found["code"].fill_null(-1).to_numpy()
    axes = (models, list(STRATA), prompt_ids)
    columns = ("model", "stratum", "prompt_id")
    sizes = np.zeros(tuple(map(len, axes)))
    np.add.at(sizes, tuple(_places(responses, columns, axes)), 1)
    return Sample(models, prompt_ids, sample, codes, *_places(sample, columns, axes), sizes)


def compare_judges(sample: Sample, resamples: Resamples) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables judge_agreement and judge_agreement_confusion.

    A row a pair of judges and a model, or all of them. Estimates are of all responses of the run:
    a stratum counts as much as the run has of it (Horvitz and Thompson 1952). Intervals resample
    the run's prompts, each with its responses in every stratum and those of them in the sample.
    """
    of_pairs = [
        _of_pair(sample, resamples, *pair) for pair in itertools.combinations(sample.labels, 2)
    ]
    names = ("judge_agreement", "judge_agreement_confusion")
    if not of_pairs:
        return tuple(EXPERIMENT_TABLES[name].create_empty() for name in names)
    return tuple(pl.concat(tables) for tables in zip(*of_pairs, strict=True))


def sampled_responses(sample: Sample) -> pl.DataFrame:
    """Return every sampled response with each judge's label, those on which judges differ first.

    A row a response and judge; a judge who has not labelled a response has no row of it.
    """
    codes = np.stack(list(sample.labels.values()))
    valid = (codes >= 0) & (codes < SIZE)
    lowest = np.where(valid, codes, SIZE).min(axis=0)
    highest = np.where(valid, codes, -1).max(axis=0)
    rows = sample.rows.select("model", *RESPONSE, "stratum").with_columns(differ=lowest < highest)
    return (
        pl.concat(
            rows.with_columns(
                judge=pl.lit(judge), label=pl.Series([LABELS[code] for code in of_judge])
            ).filter(of_judge >= 0)
            for judge, of_judge in sample.labels.items()
        )
        .with_columns(order=pl.col("judge").cast(pl.Enum(list(sample.labels))))
        .sort(~pl.col("differ"), "model", *RESPONSE, "order")
        .drop("order")
    )


def caption(table: pl.DataFrame, responses: pl.DataFrame) -> str:
    """Return what was found, in one to three sentences."""
    n = responses.select("model", *RESPONSE).n_unique()
    rows = table.filter(pl.col("model") == ALL_MODELS, pl.col("agreement").is_not_null())
    if rows.is_empty() and table["n_invalid"].sum():
        return (
            f"Of the {n} sampled responses none has a valid label of two judges: nothing to "
            "compare. judge_agreement_responses.csv has their labels."
        )
    if rows.is_empty():
        return (
            f"No two judges have labelled the {n} sampled responses: nothing to compare. Add a "
            "judge to judges, or to experiments.judge_agreement.judges."
        )
    row = rows.row(0, named=True)
    differ = responses.filter("differ").select("model", *RESPONSE).n_unique()
    text = (
        f"On a sample of {n} responses, reweighted to all of them, {row['judge_a']} and "
        f"{row['judge_b']} agree on {row['agreement']:.1%} {_bounds(row, 'agreement', '.1%')}"
    )
    text += (
        "; kappa does not exist, as one of them gives one label only."
        if row["kappa"] is None
        else f"; Cohen's kappa is {row['kappa']:.2f} {_bounds(row, 'kappa', '.2f')}."
    )
    if rows.height > 1:
        lowest, highest = rows["agreement"].min(), rows["agreement"].max()
        text += (
            f" Over all {rows.height} pairs of judges, agreement is {lowest:.1%} to {highest:.1%}."
        )
    found = (
        f"Judges differ on {differ} of the sampled responses, whose ids are in "
        "judge_agreement_responses.csv"
        if differ
        else "No sampled response has two different valid labels"
    )
    return f"{text} {found}; of judges that label all, tables/judge_agreement.csv has them all."


def _of_pair(
    sample: Sample, resamples: Resamples, judge_a: str, judge_b: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    a, b = sample.labels[judge_a], sample.labels[judge_b]
    both, valid = (a >= 0) & (b >= 0), (a >= 0) & (a < SIZE) & (b >= 0) & (b < SIZE)
    # Few prompts have a sampled response.
    of, place = np.unique(sample.prompt, return_inverse=True)
    shape = (len(sample.models), len(STRATA), _CELLS + 1, len(of))
    # Of each prompt, the sampled responses with each pair of labels, and last how many both judged.
    counts = np.zeros(shape)
    model, stratum = sample.model, sample.stratum
    pair = (a * SIZE + b)[valid]
    np.add.at(counts, (model[valid], stratum[valid], pair, place[valid]), 1)
    np.add.at(counts, (model[both], stratum[both], _CELLS, place[both]), 1)
    once = counts.sum(axis=-1)
    estimates = _weighted(sample.sizes.sum(axis=-1)[None], once[None], once)[0]
    drawn = _weighted(resamples.sums(sample.sizes), resamples.sums(counts, of), once)
    of_model = [*(model == number for number in range(len(sample.models))), np.full(len(a), True)]
    n, judged = (np.array([(of & some).sum() for of in of_model]) for some in (valid, both))
    prompts = np.array([len(set(place[of & valid])) for of in of_model])
    columns = {}
    for name, statistic in STATISTICS.items():
        value = statistic(estimates)
        columns |= estimate(name, value, *near_one_interval(statistic(drawn), value, prompts))
    if_alike = share_interval(agreement(drawn), agreement(estimates), prompts)
    for end, bounds in zip(("low", "high"), if_alike, strict=True):
        name = f"agreement_{end}"
        known = np.where(np.isnan(columns[name]), bounds, columns[name])
        # The logarithm knows no 0.
        columns[name] = np.maximum(known, 0)
    names = {"judge_a": pl.lit(judge_a), "judge_b": pl.lit(judge_b)}
    table = frame({"model": sample.models_and_all}, n=n, n_invalid=judged - n, **columns)
    flat = estimates.reshape(len(n), -1)
    with np.errstate(invalid="ignore"):
        share = flat / flat.sum(axis=-1, keepdims=True)
        spread = drawn.reshape(len(drawn), *flat.shape)
        spread = spread / spread.sum(axis=-1, keepdims=True)
    pairs = once[:, :, :_CELLS].sum(axis=1)
    confusion = frame(
        {"model": sample.models_and_all, "label_a": VALID_LABELS, "label_b": VALID_LABELS},
        n=np.concatenate([pairs, pairs.sum(axis=0, keepdims=True)]).astype(int),
        n_invalid=np.repeat(judged - n, _CELLS),
        **estimate("share", share, *share_interval(spread, share, prompts[:, None])),
    )
    return table.with_columns(**names), confusion.with_columns(**names)


def _weighted(sizes: np.ndarray, counts: np.ndarray, instead: np.ndarray) -> np.ndarray:
    """Return the responses of the run with each pair of labels, as estimated, of models and all.

    Args:
        sizes: (resamples, models, strata), responses of the run.
        counts: (resamples, models, strata, 10), sampled responses by pair of labels; the last are
            those that both judged.
        instead: (models, strata, 10), taken where a resample has none of a stratum.

    Returns:
        (resamples, models and all, 3, 3).
    """
    counts = np.where(counts[..., -1:] > 0, counts, instead)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A stratum that two judges have not labelled is left out.
        rates = np.nan_to_num(counts[..., :-1] / counts[..., -1:])
    of_models = (sizes[..., None] * rates).sum(axis=2)
    every = np.concatenate([of_models, of_models.sum(axis=1, keepdims=True)], axis=1)
    return every.reshape(*every.shape[:-1], SIZE, SIZE)


def _places(
    table: pl.DataFrame, columns: tuple[str, ...], axes: tuple[list[str], ...]
) -> list[np.ndarray]:
    return [
        table[column].cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
        for column, names in zip(columns, axes, strict=True)
    ]


def _bounds(row: dict, name: str, form: str) -> str:
    if row[f"{name}_low"] is None:
        return "(no interval: all sampled responses agree, or they are of one prompt)"
    return f"[{row[f'{name}_low']:{form}}, {row[f'{name}_high']:{form}}]"
