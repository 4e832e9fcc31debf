"""The fine-tuned classifier as a judge: asked by its own prompt, read by its own answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from refusal_stability.cache.results import ResultCache
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.engine import chat
from refusal_stability.judging.classifier_files import read_classifier
from refusal_stability.judging.local import Read, Requests, ask_engine

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import RequestOutput, SamplingParams


def judge_pairs(
    judge: dict[str, Any], text: str, pairs: pl.DataFrame, cache: ResultCache | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Label each pair by a classifier's greedy answer; see :mod:`judging.judge`.

    Raises:
        InputError: the classifier's file is wrong, or its weights are missing.
    """
    classifier = read_classifier(text, Path(judge["classifier"]))
    answers, facts = ask_engine(judge, requests(judge, text, pairs), cache)
    can_give = [label for label in VALID_LABELS if label in classifier.labels.values()]
    return answers, facts | {"answers": classifier.labels, "labels_it_can_give": can_give}


def requests(judge: dict[str, Any], text: str, pairs: pl.DataFrame) -> Requests:
    """Return how the classifier is asked about each pair, (prompt, response).

    Raises:
        InputError: the classifier's file is wrong.
    """
    classifier = read_classifier(text, Path(judge["classifier"]))

    def encode(tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
        special = list(tokenizer.get_added_vocab())
        rows = pairs.select("prompt", "response").iter_rows()
        if classifier.prompt is None:
            turns = (classifier.turns(*row, special) for row in rows)
            return [chat.chat_token_ids(tokenizer, turn, thinking=False) for turn in turns]
        messages = (classifier.message(*row, special) for row in rows)
        return [chat.text_token_ids(tokenizer, message) for message in messages]

    def prepare(_: "PreTrainedTokenizerBase", temperature: float) -> "tuple[SamplingParams, Read]":
        from vllm import SamplingParams

        return SamplingParams(temperature=temperature, max_tokens=classifier.max_tokens), read

    def read(output: "RequestOutput") -> dict[str, Any]:
        label, reason = classifier.read(output.outputs[0].text)
        return {"label": label, "reason": reason}

    return Requests(encode, prepare, classifier.max_tokens, chat=classifier.prompt is None)
