"""Judging the same texts again and again: what a judge's label depends on besides the text.

Nothing is taken from the cache that runs share: repetition is the subject.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability import judging_api, judging_classifier, judging_engine, judging_vllm
from refusal_stability.budget import UNLIMITED, Budget
from refusal_stability.files import read_text
from refusal_stability.judge_settings import instructions_file

ONE_BATCH, SHUFFLED, ONE_BY_ONE, SAMPLED = CONDITIONS = (
    "one_batch",
    "shuffled",
    "one_by_one",
    "sampled",
)
_REQUESTS = {"vllm": judging_vllm.requests, "classifier": judging_classifier.requests}
_SIZES = (2, 3, 5, 8, 13, 21, 34)


@dataclass(frozen=True)
class Round:
    """One labelling of all texts.

    Attributes:
        batches: places of the texts that the judge is given at once, one after the other.
        temperature: of sampling; None is as the judge is asked in the run.
    """

    condition: str
    repeat: int
    batches: list[list[int]]
    temperature: float | None


def rounds(n: int, repeats: int, temperature: float) -> Iterator[Round]:
    """Yield every labelling of ``n`` texts: ``repeats`` under each condition."""
    everything = list(range(n))
    for repeat in range(repeats):
        yield Round(ONE_BATCH, repeat, [everything], None)
    for repeat in range(repeats):
        rng = random.Random(repeat)
        order, batches = rng.sample(everything, n), []
        while order:
            size = rng.choice(_SIZES)
            batches.append(order[:size])
            order = order[size:]
        yield Round(SHUFFLED, repeat, batches, None)
    for repeat in range(repeats):
        yield Round(ONE_BY_ONE, repeat, [[place] for place in everything], None)
    for repeat in range(repeats):
        yield Round(SAMPLED, repeat, [everything], temperature)


def rejudge(
    judge: dict[str, Any],
    texts: pl.DataFrame,
    repeats: int,
    temperature: float,
    cache: Path,
    budget: Budget = UNLIMITED,
) -> pl.DataFrame:
    """Label every text under every condition.

    Args:
        judge: an entry of the configuration's `judges`, defaults filled in.
        texts: keeps the contract :class:`~refusal_stability.contracts.NoiseSample`.
        repeats: labels of each text under each condition.
        temperature: of the condition `sampled`.
        cache: a file in which a judge behind an API keeps its answers as they arrive.
        budget: what it may be asked.

    Returns:
        A table that keeps the contract :class:`~refusal_stability.contracts.Rejudged`.

    Raises:
        InputError: the file that the judge follows, or its weights, cannot be used.
        ProviderError: the provider refuses the key, the model or a setting, or does not answer.
        BudgetError: there are fewer calls left than it takes.
    """
    instructions = read_text(Path(instructions_file(judge)))
    every = list(rounds(texts.height, repeats, temperature))
    if "weights" in judge:
        request = _REQUESTS[judge["kind"]](judge, instructions, texts)
        answers = judging_engine.ask_repeatedly(judge, request, every)
    else:
        # A model that takes no temperature is not asked at another one.
        every = [of for of in every if of.temperature is None or judge["temperature"] is not None]
        answers = judging_api.ask_repeatedly(judge, instructions, texts, every, cache, budget)
    columns = texts.select("model", "prompt_id", "response_sha256").with_row_index("text")
    schema = {"label": pl.String, "reason": pl.String} | dict.fromkeys(
        ("p_refuse", "p_partial", "p_comply"), pl.Float64
    )
    return pl.concat(
        columns.hstack(pl.DataFrame(of_round, schema=schema)).with_columns(
            judge=pl.lit(judge["name"]),
            condition=pl.lit(one.condition),
            repeat=pl.lit(one.repeat, pl.Int64),
        )
        for one, of_round in zip(every, answers, strict=True)
    )
