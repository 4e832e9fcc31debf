"""The sample of `judge_agreement`: a few responses that stand for all of them.

Strata are a model and what the run's first judge says of its responses. The rare labels, on which
judges differ most, get more of the sample than their share, and less weight in return.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from refusal_stability.core.cells import cell_name
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Responses
from refusal_stability.statistics.run_arrays import Judged

INVALID = "invalid"
STRATA = (*VALID_LABELS, INVALID)
RESPONSE = ["prompt_id", "temperature", "seed"]
# The sample of a run is always the same: whoever labels it may take his time.
_SEED = 1


def strata_of(judged: Judged) -> pl.DataFrame:
    """Return every response of the run with its stratum: what the first judge says of it.

    Args:
        judged: verdicts by judge and model; models that the first judge has not seen have none.

    Returns:
        Columns model, prompt_id, temperature, seed, stratum (one of :data:`STRATA`) and
        response_sha256.
    """
    first = next(iter(judged))[0]
    label = pl.col("label").cast(pl.String)
    return pl.concat(
        table.select(
            pl.lit(model).alias("model"),
            *RESPONSE,
            stratum=pl.when(label.is_in(VALID_LABELS)).then(label).otherwise(pl.lit(INVALID)),
            response_sha256="response_sha256",
        )
        for (judge, model), table in judged.items()
        if judge == first
    )


def draw(responses: pl.DataFrame, size: int) -> pl.DataFrame:
    """Return ``size`` of the responses, or all if there are fewer, in an order that says nothing.

    Args:
        responses: from :func:`strata_of`.
    """
    rng = np.random.default_rng(_SEED)
    # As the files are written in another order, the same responses are drawn.
    parts = responses.sort("model", *RESPONSE).partition_by("model", "stratum", maintain_order=True)
    taken = shares([part.height for part in parts], size)
    drawn = pl.concat(
        # The first of one order: a larger sample holds a smaller one, and what was labelled of it.
        part[rng.permutation(part.height)[:n]]
        for part, n in zip(parts, taken, strict=True)
    )
    return drawn[rng.permutation(drawn.height)]


def shares(sizes: Sequence[int], total: int) -> list[int]:
    """Return how many of each stratum are drawn: in proportion to the root of its size.

    Between equal numbers, which know most of small strata, and equal chances, which know most of
    the whole (Bankier 1988, power allocation). Each has two or all of it, if ``total`` allows.
    """
    taken = [0] * len(sizes)
    for _ in range(min(total, sum(sizes))):
        with_room = [place for place, size in enumerate(sizes) if taken[place] < size]
        few = [place for place in with_room if taken[place] < 2]
        # Webster's method, as of seats in a parliament.
        place = max(few or with_room, key=lambda place: sizes[place] ** 0.5 / (taken[place] + 0.5))
        taken[place] += 1
    return taken


def to_label(sample: pl.DataFrame, folder: Path, prompts: pl.DataFrame) -> pl.DataFrame:
    """Return the sampled responses with their text, and without what any judge says of them.

    Args:
        sample: from :func:`draw`.
        folder: holds a folder a model, with its cells.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
    """
    texts = []
    for (model, temperature, seed), part in sample.group_by("model", "temperature", "seed"):
        path = folder / model / f"{cell_name(temperature, seed)}.parquet"
        cell = storage.read_parquet(path, Responses)
        texts.append(part.join(cell.select("prompt_id", "response"), on="prompt_id"))
    return sample.join(
        pl.concat(texts).select("model", *RESPONSE, "response"),
        on=["model", *RESPONSE],
        maintain_order="left",
    ).join(prompts.select("prompt_id", "prompt"), on="prompt_id", maintain_order="left")
