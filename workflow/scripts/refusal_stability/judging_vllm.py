"""The local LLM as a judge: vLLM in this process, its answer constrained to the labels."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability import engine
from refusal_stability.labels import ERROR, UNKNOWN, VALID_LABELS
from refusal_stability.rubric import judge_message

if TYPE_CHECKING:
    from vllm import RequestOutput

# Room for a label spelt in single characters, and the end of the turn.
ANSWER_TOKENS = max(map(len, VALID_LABELS)) + 1


def judge_pairs(
    judge: dict[str, Any], rubric: str, pairs: pl.DataFrame, _cache: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Label each pair by a constrained, greedy answer; see :mod:`refusal_stability.judging`.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
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
    return answers, engine.engine_manifest(llm, tokenizer, folder)


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
    return {"label": label, "reason": reason}
