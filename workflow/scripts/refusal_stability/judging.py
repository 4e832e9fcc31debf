"""Judging: one local judge labels every response of one model."""

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability import engine, versions
from refusal_stability.files import sha256_text
from refusal_stability.labels import ERROR, INCOMPLETE, UNKNOWN, VALID_LABELS
from refusal_stability.rubric import judge_message

if TYPE_CHECKING:
    from vllm import RequestOutput

# Room for a label spelt in single characters, and the end of the turn.
ANSWER_TOKENS = max(map(len, VALID_LABELS)) + 1


def judge_model(
    judge: dict[str, Any], rubric: str, prompts: pl.DataFrame, responses: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Give every response of one model a verdict; a distinct (prompt, response) is judged once.

    Args:
        judge: an entry of the configuration's `judges`, defaults filled in.
        rubric: the judge's instructions.
        prompts: keeps the contract :class:`~refusal_stability.contracts.Prompts`.
        responses: all cells of the model, each keeping the contract
            :class:`~refusal_stability.contracts.Responses`.

    Returns:
        A table that keeps the contract :class:`~refusal_stability.contracts.Verdicts`, in the
        order of the responses, and its manifest.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
    to_judge = responses.with_columns(skipped=_skipped())
    # In order of appearance, so that the same responses make the same batch.
    pairs = (
        to_judge.filter(pl.col("skipped").is_null())
        .select("prompt_id", "response")
        .unique(maintain_order=True)
        .join(prompts.select("prompt_id", "prompt"), on="prompt_id", maintain_order="left")
    )
    judged, engine_facts = _judge_pairs(judge, rubric, pairs)
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
                pl.format("the engine ended the reply with {}", "finish_reason")
            ),
            "reason",
        ),
        # An equal text of another cell may have been judged; this one was not.
        **{name: pl.when(pl.col("skipped").is_null()).then(name) for name in _PROBABILITIES},
        response_sha256=pl.col("response").map_elements(sha256_text, return_dtype=pl.String),
    )
    invalid = verdicts.filter(~pl.col("label").is_in(VALID_LABELS))
    manifest = {
        "version": versions.JUDGING,
        "judge": judge,
        "rubric_sha256": sha256_text(rubric),
        **engine_facts,
        "count": verdicts.height,
        "distinct_pairs": pairs.height,
        "invalid": dict(invalid["label"].value_counts(sort=True).iter_rows()),
    }
    return verdicts, manifest


def _skipped() -> pl.Expr:
    """The label of a response that no judge is asked about, else null."""
    return (
        pl.when(pl.col("finish_reason").is_in(["abort", "error"]))
        .then(pl.lit(ERROR))
        .when(pl.col("reasoning").is_not_null() & (pl.col("response") == ""))
        .then(pl.lit(INCOMPLETE))
    )


def _judge_pairs(
    judge: dict[str, Any], rubric: str, pairs: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return (prompt_id, response, label, reason, p_*) of each pair, and the engine's facts."""
    engine.prepare_imports()
    folder = engine.local_weights(judge)
    tokenizer = engine.load_tokenizer(judge, folder)
    special_tokens = list(tokenizer.get_added_vocab())
    requests = [
        engine.chat_token_ids(
            tokenizer,
            [{"role": "user", "content": judge_message(rubric, prompt, response, special_tokens)}],
            thinking=False,
        )
        for prompt, response in pairs.select("prompt", "response").iter_rows()
    ]
    room = judge["max_model_len"] - ANSWER_TOKENS
    fits = [len(ids) <= room for ids in requests]
    starts = label_starts(tokenizer.get_vocab())
    llm = engine.load_engine(judge, folder)
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    sampling = SamplingParams(
        temperature=0,
        max_tokens=ANSWER_TOKENS,
        structured_outputs=StructuredOutputsParams(choice=list(VALID_LABELS)),
        logprob_token_ids=sorted(starts),
    )
    short = [ids for ids, fit in zip(requests, fits, strict=True) if fit]
    outputs = iter(engine.complete(llm, short, [sampling] * len(short)))
    answers = [
        _answer(next(outputs), starts)
        if fit
        else _invalid(ERROR, f"{len(ids)} tokens to judge, max_model_len leaves {room}")
        for ids, fit in zip(requests, fits, strict=True)
    ]
    schema = {"label": pl.String, "reason": pl.String} | dict.fromkeys(_PROBABILITIES, pl.Float64)
    table = pairs.select("prompt_id", "response").hstack(pl.DataFrame(answers, schema=schema))
    facts = engine.engine_manifest(llm, tokenizer, folder)
    return table, facts


_PROBABILITIES = ("p_refuse", "p_partial", "p_comply")


def label_starts(vocabulary: dict[str, int]) -> dict[int, str]:
    """Return {token id: label} for every token that begins one of the labels.

    The labels differ in their first letter, so the first token of an answer that is
    constrained to them decides it.
    """
    return {
        vocabulary[label[:end]]: label
        for label in VALID_LABELS
        for end in range(1, len(label) + 1)
        if label[:end] in vocabulary
    }


def label_probabilities(logprobs: dict[int, float], starts: dict[int, str]) -> dict[str, float]:
    """Return p_refuse, p_partial and p_comply from the first token of a constrained answer.

    The probability of a label is the mass of the tokens that begin it, over the mass of those
    that begin any label: what constrained decoding samples from at temperature 1.

    Args:
        logprobs: natural logarithms of the first token's probabilities, by token id.
        starts: from :func:`label_starts`.
    """
    tokens = [token for token in starts if token in logprobs]
    # Only differences count: less the largest, so that a small mass does not underflow to 0.
    largest = max(logprobs[token] for token in tokens)
    mass = dict.fromkeys(VALID_LABELS, 0.0)
    for token in tokens:
        mass[starts[token]] += math.exp(logprobs[token] - largest)
    total = sum(mass.values())
    return {f"p_{label.lower()}": mass[label] / total for label in VALID_LABELS}


def _answer(output: "RequestOutput", starts: dict[int, str]) -> dict[str, Any]:
    answer = output.outputs[0]
    if answer.text not in VALID_LABELS:
        return _invalid(UNKNOWN, f"the answer is no label (finish reason {answer.finish_reason})")
    first = {token: entry.logprob for token, entry in answer.logprobs[0].items()}
    return {"label": answer.text, "reason": None} | label_probabilities(first, starts)


def _invalid(label: str, reason: str) -> dict[str, Any]:
    return {"label": label, "reason": reason} | dict.fromkeys(_PROBABILITIES)
