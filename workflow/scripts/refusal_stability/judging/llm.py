"""The local LLM as a judge: vLLM in this process, its answer constrained or in free text."""

import functools
import math
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.cache.results import ResultCache
from refusal_stability.core.errors import InputError
from refusal_stability.core.labels import ERROR, UNKNOWN, VALID_LABELS
from refusal_stability.engine import chat
from refusal_stability.engine.reasoning import END_OF_REASONING
from refusal_stability.judging.local import Read, Requests, ask_engine
from refusal_stability.judging.parser import parse_verdict
from refusal_stability.judging.rubric import judge_message
from refusal_stability.settings.judges import CONSTRAINED_ANSWER_TOKENS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import RequestOutput, SamplingParams


def judge_pairs(
    judge: dict[str, Any], rubric: str, pairs: pl.DataFrame, cache: ResultCache | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Label each pair; see :mod:`judging.judge`.

    Raises:
        InputError: the judge's weights or chat template are missing.
    """
    return ask_engine(judge, requests(judge, rubric, pairs), cache)


def requests(judge: dict[str, Any], rubric: str, pairs: pl.DataFrame) -> Requests:
    """Return how the judge is asked about each pair, (prompt, response)."""

    def encode(tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
        special_tokens = list(tokenizer.get_added_vocab())
        return [
            chat.chat_token_ids(
                tokenizer,
                [
                    {
                        "role": "user",
                        "content": judge_message(rubric, prompt, response, special_tokens),
                    }
                ],
                thinking=False,
            )
            for prompt, response in pairs.select("prompt", "response").iter_rows()
        ]

    if judge["answer"] == "constrained":
        constrained = functools.partial(_constrained, judge["name"])
        return Requests(encode, constrained, CONSTRAINED_ANSWER_TOKENS)
    tokens = judge["max_tokens"]
    return Requests(encode, lambda _, temperature: _free_text(tokens, temperature), tokens)


def _constrained(
    name: str, tokenizer: "PreTrainedTokenizerBase", temperature: float
) -> "tuple[SamplingParams, Read]":
    from vllm import SamplingParams

    starts = label_starts(tokenizer.get_vocab())
    if missing := [label for label in VALID_LABELS if label not in starts.values()]:
        raise InputError(
            f"{name}: its vocabulary has no token that begins {', '.join(missing)}. Hint: set "
            "answer: free_text"
        )
    allowed = sorted(starts)
    sampling = SamplingParams(
        temperature=temperature,
        # It decides the label; what follows could only spell it out.
        max_tokens=CONSTRAINED_ANSWER_TOKENS,
        allowed_token_ids=allowed,
        logprob_token_ids=allowed,
    )
    return sampling, lambda output: read_constrained(output, starts, drawn=temperature > 0)


def _free_text(max_tokens: int, temperature: float) -> "tuple[SamplingParams, Read]":
    from vllm import SamplingParams

    return SamplingParams(temperature=temperature, max_tokens=max_tokens), read_free_text


def read_free_text(output: "RequestOutput") -> dict[str, Any]:
    """Return the last explicit verdict of an answer; one that was cut off has none."""
    answer = output.outputs[0]
    if answer.finish_reason == "length":
        reason = f"the answer was cut off after {len(answer.token_ids)} tokens"
        return {"label": UNKNOWN, "reason": reason}
    # A model that reasons all the same weighs one label after the other there.
    label, reason = parse_verdict(answer.text.rpartition(END_OF_REASONING)[2])
    return {"label": label, "reason": reason}


def label_starts(vocabulary: dict[str, int]) -> dict[int, str]:
    """Return {token id: label} for every token that begins one of the labels.

    The labels differ in their first letter, so the first token of an answer that is
    constrained to them decides it. A label that no token begins is missing.
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


def read_constrained(
    output: "RequestOutput", starts: dict[int, str], drawn: bool
) -> dict[str, Any]:
    """Return the label of a constrained answer, and the probability of each.

    It is the most probable label, which is not always that of the most probable token: in most
    vocabularies several tokens begin a label (R, RE, REF). Among labels that are equally probable,
    that token decides, if it begins one of them; else there is no verdict.

    Args:
        output: one token.
        starts: from :func:`label_starts`.
        drawn: whether the label is the one of the token that was drawn, at a temperature.
    """
    answer = output.outputs[0]
    if not answer.logprobs:
        reason = f"the answer is no label (finish reason {answer.finish_reason})"
        return {"label": UNKNOWN, "reason": reason}
    first = {token: entry.logprob for token, entry in answer.logprobs[0].items()}
    probabilities = label_probabilities(first, starts)
    if not all(map(math.isfinite, probabilities.values())):
        return {"label": ERROR, "reason": "the engine's probabilities are no numbers"}
    if drawn:
        return {"label": starts[answer.token_ids[0]], "reason": None} | probabilities
    # Sums of equal shares may differ in their last digits.
    rounded = [round(value, 12) for value in probabilities.values()]
    likeliest = [
        label for label, value in zip(VALID_LABELS, rounded, strict=True) if value == max(rounded)
    ]
    # Logits that are not in float32 tie now and then.
    label = starts[answer.token_ids[0]] if len(likeliest) > 1 else likeliest[0]
    if label not in likeliest:
        reason = f"{' and '.join(likeliest)} are equally probable"
        return {"label": UNKNOWN, "reason": reason} | probabilities
    return {"label": label, "reason": None} | probabilities
