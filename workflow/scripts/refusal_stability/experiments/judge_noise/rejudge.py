"""Judging the same texts again and again: what a judge's label depends on besides the text.

Nothing is taken from the cache that runs share: repetition is the subject.
"""

from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability.api.budget import UNLIMITED, Budget
from refusal_stability.core.files import read_text
from refusal_stability.judging import api, classifier, llm, local
from refusal_stability.judging.rounds import rounds
from refusal_stability.settings.judges import instructions_file

_REQUESTS = {"vllm": llm.requests, "classifier": classifier.requests}


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
        texts: keeps the contract :class:`~schemas.stages.NoiseSample`.
        repeats: labels of each text under each condition.
        temperature: of the condition `sampled`.
        cache: a file in which a judge behind an API keeps its answers as they arrive.
        budget: what it may be asked.

    Returns:
        A table that keeps the contract :class:`~schemas.stages.Rejudged`.

    Raises:
        InputError: the file that the judge follows, or its weights, cannot be used.
        ProviderError: the provider refuses the key, the model or a setting, or does not answer.
        BudgetError: there are fewer calls left than it takes.
    """
    instructions = read_text(Path(instructions_file(judge)))
    every = list(rounds(texts.height, repeats, temperature))
    if "weights" in judge:
        request = _REQUESTS[judge["kind"]](judge, instructions, texts)
        answers = local.ask_repeatedly(judge, request, every)
    else:
        # A model that takes no temperature is not asked at another one.
        every = [of for of in every if of.temperature is None or judge["temperature"] is not None]
        answers = api.ask_repeatedly(judge, instructions, texts, every, cache, budget)
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
