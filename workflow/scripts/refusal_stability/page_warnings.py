"""What a reader should know before believing a number: the raised alarms, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from refusal_stability.alarms import SYSTEMATIC_BELOW, split_ids
from refusal_stability.words import listed

# Alarms whose ids are prompts.
_OF_PROMPTS = {
    "invalid_verdicts",
    "systematic_failure",
    "missing_responses",
    "identical_text_relabelled",
    "truncated_replies",
}


@dataclass(frozen=True)
class Warning:
    """One warning: a few words, a sentence, and the ids of the prompts behind it, if it has any."""

    name: str
    text: str
    prompt_ids: list[str]


def warnings(
    alarms: pl.DataFrame, shared_scope: Iterable[str], self_judging: Iterable[str]
) -> list[Warning]:
    """Return the warnings of a run, one an alarm and judge; a missing key is not an alarm.

    Args:
        alarms: the table of that name.
        shared_scope: models whose prompts share the seed of their cell (`seed_scope: cell`).
        self_judging: a sentence for each judge that is also a model under test.
    """
    found = [Warning("A judge is also under test", text, []) for text in self_judging]
    shared = list(shared_scope)
    if shared:
        found.append(
            Warning(
                "Shared sampling seeds",
                f"All prompts of a cell of {listed(shared)} have the cell's own seed "
                "(seed_scope: cell): their draws move together, and intervals, which take prompts "
                "for independent, are too narrow.",
                [],
            )
        )
    raised = alarms.filter("raised")
    for (alarm,), rows in raised.partition_by("alarm", as_dict=True, maintain_order=True).items():
        # Replies are the same under every judge.
        if alarm == "truncated_replies":
            rows = rows.unique("model", maintain_order=True)
        found.append(_warning(alarm, rows.rows(named=True)))
    return found


def unknown(alarms: pl.DataFrame, starts_from_labels: bool) -> list[str]:
    """Return what could not be looked into, a sentence each."""
    known = set(alarms["alarm"])
    found = []
    if starts_from_labels:
        found.append(
            "The run starts from labels: prompts, replies and how they were sampled are not known."
        )
    if "truncated_replies" not in known:
        found.append("Whether replies were cut off at a token limit is not known.")
    if "identical_text_relabelled" not in known:
        found.append("Which replies have the same text is not known.")
    return found


def _warning(alarm: str, rows: list[dict[str, Any]]) -> Warning:
    name, what = {
        "invalid_verdicts": ("Invalid labels", "{n} of {of} verdicts have no valid label"),
        "systematic_failure": (
            "No majority",
            f"{{n}} of {{of}} prompts have an SSI below {SYSTEMATIC_BELOW:g}",
        ),
        "missing_responses": ("Missing responses", "{n} of {of} responses have no verdict"),
        "missing_cells": ("Missing cells", "{n} of {of} cells are missing ({ids})"),
        "shared_seeds": (
            "Prompts move together",
            "at {n} of {of} temperatures ({ids}), refusals rise and fall together from seed to "
            "seed, as with one sampling seed for all prompts",
        ),
        "identical_text_relabelled": (
            "Same text, other label",
            "{n} of {of} pairs of verdicts on the same text differ",
        ),
        "truncated_replies": ("Truncated replies", "{n} of {of} replies were cut off"),
    }[alarm]
    said, ids = [], {}
    for row in rows:
        whose = row["model"] if alarm == "truncated_replies" else f"{row['model']}, {row['judge']}"
        shown = row["ids"] if len(row["ids"]) < 100 else f"{row['ids'][:100].rsplit(' ', 1)[0]} ..."
        said.append(f"{whose}: {what.format(n=row['n'], of=row['of'], ids=shown)}")
        ids |= dict.fromkeys(split_ids(row["ids"]))
    return Warning(name, "; ".join(said) + ".", list(ids) if alarm in _OF_PROMPTS else [])
