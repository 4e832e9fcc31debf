"""Judging: one judge labels every response of one model."""

from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability.api.budget import UNLIMITED, Budget
from refusal_stability.cache.results import ResultCache
from refusal_stability.core import versions
from refusal_stability.core.files import read_text
from refusal_stability.core.hashing import sha256_file, sha256_text
from refusal_stability.core.labels import ERROR, INCOMPLETE, VALID_LABELS
from refusal_stability.judging import api, classifier, human, llm, string_match
from refusal_stability.settings.judges import FILE_KEYS, instructions_file, labels_of

# Each takes the judge's settings, the text of the file that it follows, the distinct pairs to
# judge (prompt_id, prompt, response) and where verdicts are kept: the file of a judge that is paid
# for, the cache that runs share of one with weights of its own. It returns an answer a pair, in
# their order - its label, and where there are any the reason why it is not valid and p_refuse,
# p_partial, p_comply - and what its manifest says of the engine. One behind an API takes the budget
# of the run as well.
_JUDGE_PAIRS = {
    "vllm": llm.judge_pairs,
    "classifier": classifier.judge_pairs,
    "openai": api.judge_pairs,
    "anthropic": api.judge_pairs,
    "string_match": string_match.judge_pairs,
}
_PROBABILITIES = ("p_refuse", "p_partial", "p_comply")
_ANSWER = {"label": pl.String, "reason": pl.String} | dict.fromkeys(_PROBABILITIES, pl.Float64)


def judge_model(
    judge: dict[str, Any],
    model: str,
    prompts: pl.DataFrame,
    responses: pl.DataFrame,
    cache: Path | ResultCache | None,
    budget: Budget = UNLIMITED,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Give every response of one model a verdict; of a human judge, every one that he labelled.

    Args:
        judge: an entry of the configuration's `judges`, defaults filled in.
        model: the model's name in the configuration.
        prompts: keeps the contract :class:`~schemas.stages.Prompts`.
        responses: all cells of the model, each keeping the contract
            :class:`~schemas.stages.Responses`.
        cache: a file in which a judge that is paid for keeps its verdicts as they arrive; of a
            judge with weights of its own, the cache that runs share, or None.
        budget: what a judge behind an API may be asked.

    Returns:
        A table that keeps the contract :class:`~schemas.stages.Verdicts`, in the
        order of the responses, and its manifest.

    Raises:
        InputError: the file that the judge follows, or its weights, cannot be used.
    """
    if judge["kind"] == "human":
        verdicts, facts = human.label_responses(judge, model, responses)
    else:
        verdicts, facts = _judge_distinct(judge, prompts, responses, cache, budget)
    invalid = verdicts.filter(~pl.col("label").is_in(VALID_LABELS))
    manifest = {
        "version": versions.JUDGING,
        "judge": judge,
        "labels_it_can_give": labels_of(judge),
        f"{FILE_KEYS[judge['kind']]}_sha256": sha256_file(Path(instructions_file(judge))),
        **facts,
        "count": verdicts.height,
        "labels": _counts(verdicts),
        "invalid": _counts(invalid),
    }
    return verdicts, manifest


def summary(manifest: dict[str, Any]) -> str:
    """Return a line on a judge's work: verdicts, invalid ones, and what each cost in tokens."""
    line = f"{manifest['count']} verdicts, invalid: {manifest['invalid'] or 'none'}"
    # What an API was paid for counts, if by an earlier attempt; what the cache gave does not.
    counted = "asked" if "weights" in manifest["judge"] else "distinct_pairs"
    if manifest.get("output_tokens") and manifest[counted]:
        each = manifest["output_tokens"] / manifest[counted]
        line += f"; {each:.1f} tokens decoded for each of {manifest[counted]} answers"
    return line


def _judge_distinct(
    judge: dict[str, Any],
    prompts: pl.DataFrame,
    responses: pl.DataFrame,
    cache: Path | ResultCache | None,
    budget: Budget,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Ask a judge about every distinct (prompt, response), once."""
    instructions = read_text(Path(instructions_file(judge)))
    to_judge = responses.with_columns(skipped=_skipped())
    # In order of appearance, so that the same responses make the same batch.
    pairs = (
        to_judge.filter(pl.col("skipped").is_null())
        .select("prompt_id", "response")
        .unique(maintain_order=True)
        .join(prompts.select("prompt_id", "prompt"), on="prompt_id", maintain_order="left")
    )
    limits = {"budget": budget} if "model" in judge else {}
    answers, engine_facts = _JUDGE_PAIRS[judge["kind"]](judge, instructions, pairs, cache, **limits)
    judged = pairs.select("prompt_id", "response").hstack(pl.DataFrame(answers, schema=_ANSWER))
    skipped = pl.when(pl.col("skipped") == INCOMPLETE)
    verdicts = to_judge.join(
        judged, on=["prompt_id", "response"], how="left", maintain_order="left"
    ).select(
        "prompt_id",
        "temperature",
        "seed",
        label=pl.coalesce("skipped", "label"),
        reason=pl.coalesce(
            skipped.then(pl.lit("the reply ended before its answer")),
            pl.when(pl.col("skipped") == ERROR).then(
                pl.when(pl.col("finish_reason") == "too_long")
                .then(pl.lit("the prompt leaves no room for a reply in max_model_len"))
                .otherwise(pl.format("the engine ended the reply with {}", "finish_reason"))
            ),
            "reason",
        ),
        # An equal text of another cell may have been judged; this one was not.
        **{name: pl.when(pl.col("skipped").is_null()).then(name) for name in _PROBABILITIES},
        response_sha256=pl.col("response").map_elements(sha256_text, return_dtype=pl.String),
    )
    return verdicts, engine_facts | {"distinct_pairs": pairs.height}


def _skipped() -> pl.Expr:
    """The label of a response that no judge is asked about, else null."""
    return (
        pl.when(pl.col("finish_reason").is_in(["abort", "error", "content_filter", "too_long"]))
        .then(pl.lit(ERROR))
        .when(pl.col("reasoning").is_not_null() & (pl.col("response") == ""))
        .then(pl.lit(INCOMPLETE))
    )


def _counts(verdicts: pl.DataFrame) -> dict[str, int]:
    return dict(verdicts["label"].value_counts(sort=True).iter_rows())
