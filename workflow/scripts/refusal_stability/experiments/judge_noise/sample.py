"""The sample of `judge_noise`: distinct texts, and what each does to the flips of its prompt."""

import numpy as np
import polars as pl

from refusal_stability.core.errors import InputError
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.experiments.judge_agreement.sample import RESPONSE, shares

STEADY, PAIR, LONE, MINORITY, MAJORITY = ROLES = (
    "steady",
    "pair",
    "lone",
    "minority",
    "majority",
)
TEXT = ["model", "prompt_id", "response_sha256"]
# The sample of a run is always the same.
_SEED = 1


def texts_of(model: str, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct texts of a model that a judge has labelled validly, and their roles.

    A prompt's texts are judged once each, however often they came, and so they are counted. A text
    of a prompt that does not flip is `steady`. Where one flips, the texts without its most frequent
    label decide that: the `lone` one, or a `minority` of several. All others are the `majority`. A
    prompt with two texts that differ has a `pair`.

    Returns:
        Columns model, prompt_id, response_sha256 and label; temperature and seed of its first
        reply; role; `majority_size` and `minority_size`, in texts of the prompt; `against`,
        the label with which a lone or minority text would not speak for a flip.
    """
    label = pl.col("label").cast(pl.String)
    texts = (
        verdicts.filter(label.is_in(VALID_LABELS))
        .with_columns(label=label.cast(pl.Enum(VALID_LABELS)))
        .group_by("prompt_id", "response_sha256", maintain_order=True)
        .agg(pl.col("label", "temperature", "seed").first())
        .with_columns(n=pl.len().over("prompt_id", "label"), texts=pl.len().over("prompt_id"))
        # Of equally frequent labels, the first of REFUSE, PARTIAL and COMPLY.
        .with_columns(
            most=pl.col("label")
            .sort_by(-pl.col("n").cast(pl.Int64), pl.col("label").to_physical())
            .first()
            .over("prompt_id"),
            majority_size=pl.col("n").max().over("prompt_id").cast(pl.Int64),
        )
        .with_columns(minority_size=pl.col("texts").cast(pl.Int64) - pl.col("majority_size"))
    )
    decides = pl.col("label") != pl.col("most")
    pair = (pl.col("majority_size") == 1) & (pl.col("minority_size") == 1)
    return texts.select(
        pl.lit(model).alias("model"),
        *RESPONSE,
        "response_sha256",
        "label",
        "majority_size",
        "minority_size",
        role=pl.when(pl.col("minority_size") == 0)
        .then(pl.lit(STEADY))
        .when(pair)
        .then(pl.lit(PAIR))
        .when(~decides)
        .then(pl.lit(MAJORITY))
        .when(pl.col("minority_size") == 1)
        .then(pl.lit(LONE))
        .otherwise(pl.lit(MINORITY)),
        against=pl.when(decides).then("most"),
    )


def draw(texts: pl.DataFrame, size: int) -> pl.DataFrame:
    """Return ``size`` texts, or all, with the `weight` of each: how many texts it stands for.

    Half of the sample is of prompts that flip, as far as there are such, by the roots of how many
    texts have each role.

    Args:
        texts: from :func:`texts_of`, of all models.

    Raises:
        InputError: there are none.
    """
    if texts.is_empty():
        raise InputError(
            "judge_noise: no reply has a valid label, so there is nothing to judge again. Hint: "
            "the column `reason` of the verdicts says why"
        )
    rng = np.random.default_rng(_SEED)
    parts = texts.sort(TEXT).partition_by("role", maintain_order=True, as_dict=True)
    deciding = [key for key in parts if key[0] != STEADY]
    taken = dict(
        zip(deciding, shares([parts[key].height for key in deciding], size // 2), strict=True)
    )
    steady = parts.get((STEADY,), texts.head(0)).height
    taken[STEADY,] = min(steady, size - sum(taken.values()))
    # What the steady ones leave.
    rest = size - taken[STEADY,]
    taken |= zip(deciding, shares([parts[key].height for key in deciding], rest), strict=True)
    drawn = []
    for key, part in parts.items():
        n = taken[key]
        if key[0] in (PAIR, MINORITY):
            drawn.append(_two_of_a_prompt(part, n, rng))
        else:
            some = part[np.sort(rng.choice(part.height, n, replace=False))]
            drawn.append(some.with_columns(weight=pl.lit(part.height / max(1, n))))
    return pl.concat(drawn)


def _two_of_a_prompt(texts: pl.DataFrame, n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return ``n`` texts, or one less, two of each drawn prompt: they may be misread together."""
    mixed = texts[rng.permutation(texts.height)]
    place = pl.int_range(pl.len()).over("model", "prompt_id")
    pairs = mixed.filter(place < 2).sort(TEXT)
    prompts = pairs.select("model", "prompt_id").unique(maintain_order=True)
    some = prompts[np.sort(rng.choice(prompts.height, min(n // 2, prompts.height), replace=False))]
    found = pairs.join(some, on=["model", "prompt_id"], how="semi", maintain_order="left")
    role = pl.col("role")
    each = prompts.height / max(1, some.height)
    texts_of_prompt = pl.when(role == PAIR).then(2).otherwise("minority_size")
    return found.with_columns(weight=each * texts_of_prompt / 2)
