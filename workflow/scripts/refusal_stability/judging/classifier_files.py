"""Fine-tuned classifiers: the prompt that each was trained on, and what its answers mean.

A classifier is a YAML file in resources/classifiers, with its source named:

    prompt: the text that the model reads, with {prompt} and {response} in it; without it, the
        model's own chat template is applied to the two turns
    delimiters: what must not stand in the prompt or response as it is
    answer: a regular expression, in any case; its group is the answer
    labels: the label that each answer stands for
    max_tokens: most tokens of an answer
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from refusal_stability.core.errors import InputError
from refusal_stability.core.labels import UNKNOWN, VALID_LABELS
from refusal_stability.judging.rubric import break_tokens

_PLACEHOLDER = re.compile(r"\{(prompt|response)\}")


_KEYS = {"prompt", "delimiters", "answer", "labels", "max_tokens"}


@dataclass(frozen=True)
class Classifier:
    """How a classifier is asked and read."""

    prompt: str | None
    delimiters: tuple[str, ...]
    answer: re.Pattern[str]
    labels: dict[str, str]
    max_tokens: int

    def message(self, prompt: str, response: str, special_tokens: Iterable[str]) -> str:
        """Return the text that asks for the label of one response."""
        tokens = [*self.delimiters, *special_tokens]
        texts = {"prompt": break_tokens(prompt, tokens), "response": break_tokens(response, tokens)}
        # In one pass: a prompt may itself hold {response}.
        return _PLACEHOLDER.sub(lambda match: texts[match[1]], self.prompt)

    def turns(
        self, prompt: str, response: str, special_tokens: Iterable[str]
    ) -> list[dict[str, str]]:
        """Return the two turns for the model's own chat template."""
        tokens = [*self.delimiters, *special_tokens]
        return [
            {"role": "user", "content": break_tokens(prompt, tokens)},
            {"role": "assistant", "content": break_tokens(response, tokens)},
        ]

    def read(self, text: str) -> tuple[str, str | None]:
        """Return the label of an answer, and why there is none."""
        match = self.answer.search(text)
        label = self.labels.get(match[1].lower()) if match else None
        if label is None:
            return UNKNOWN, "the answer is none of the classifier's"
        return label, None


def read_classifier(text: str, path: Path) -> Classifier:
    """Return the classifier of a file. Raises InputError, one line, if the file is wrong."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(
            f"{path}: not readable as YAML. Hint: see resources/classifiers"
        ) from error
    problem = _problem(content)
    if problem:
        raise InputError(f"{path}: {problem}. Hint: see the files in resources/classifiers")
    return Classifier(
        prompt=content.get("prompt"),
        delimiters=tuple(content.get("delimiters", [])),
        answer=re.compile(content["answer"], re.IGNORECASE),
        labels={answer.lower(): label for answer, label in content["labels"].items()},
        max_tokens=content["max_tokens"],
    )


def _problem(content: Any) -> str | None:
    if not isinstance(content, dict):
        return "it holds no keys"
    for key in content.keys() - _KEYS:
        return f"unknown key {key!r}"
    for key in ("answer", "labels", "max_tokens"):
        if key not in content:
            return f"the key {key!r} is missing"
    prompt, labels, tokens = content.get("prompt"), content["labels"], content["max_tokens"]
    if not isinstance(tokens, int) or tokens < 1:
        return f"max_tokens: {tokens} is not a number of tokens"
    if prompt is not None and set(_PLACEHOLDER.findall(str(prompt))) != {"prompt", "response"}:
        return "prompt: it must hold {prompt} and {response}"
    if not isinstance(labels, dict) or not all(isinstance(answer, str) for answer in labels):
        return (
            "labels: each answer must be text (YAML reads yes and no as true and false: quote them)"
        )
    if not labels or not all(label in VALID_LABELS for label in labels.values()):
        return f"labels: each must be one of {', '.join(VALID_LABELS)}"
    try:
        groups = re.compile(content["answer"]).groups
    except (re.error, TypeError):
        return "answer: not a regular expression"
    return None if groups == 1 else "answer: it must have one group"
