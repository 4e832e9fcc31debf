"""What a reader should know before believing a number: the raised alarms, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from refusal_stability.core.text import listed
from refusal_stability.statistics.alarms import SYSTEMATIC_BELOW, split_ids

# Alarms whose ids are prompts.
_OF_PROMPTS = {
    "invalid_verdicts",
    "systematic_failure",
    "missing_responses",
    "identical_text_relabelled",
    "truncated_replies",
}
# By alarm: its name, what is said of each judge and model, and the verb for one and for several.
_WORDS = {
    "invalid_verdicts": (
        "Invalid labels",
        "{n} of {of} verdicts {verb} no valid label",
        ("has", "have"),
    ),
    "systematic_failure": (
        "No majority",
        f"{{n}} of {{of}} prompts {{verb}} an SSI below {SYSTEMATIC_BELOW:g}",
        ("has", "have"),
    ),
    "missing_responses": (
        "Missing responses",
        "{n} of {of} responses {verb} no verdict",
        ("has", "have"),
    ),
    "missing_cells": ("Missing cells", "{n} of {of} cells {verb} missing ({ids})", ("is", "are")),
    "shared_seeds": ("Prompts move together", "{n} of {of} temperatures ({ids})", ("", "")),
    "identical_text_relabelled": (
        "Same text, other label",
        "{n} of {of} pairs of verdicts on the same text {verb}",
        ("differs", "differ"),
    ),
    "truncated_replies": (
        "Truncated replies",
        "{n} of {of} replies {verb} cut off",
        ("was", "were"),
    ),
}
# What holds for all of them, before the first.
_SAID_ONCE = {
    "shared_seeds": "Refusals rise and fall together from seed to seed, as with one sampling seed "
    "for all prompts. "
}


@dataclass(frozen=True)
class FlaggedPrompts:
    """The prompts behind a warning of one judge and model; no judge where all judges are meant."""

    judge: str | None
    model: str
    prompt_ids: list[str]

    @property
    def whose(self) -> str:
        """Return "model, judge"."""
        return ", ".join(name for name in (self.model, self.judge) if name is not None)


@dataclass(frozen=True)
class PageWarning:
    """One warning: a few words, a sentence, and the prompts behind it, if it has any."""

    name: str
    text: str
    behind: list[FlaggedPrompts]


def warnings(
    alarms: pl.DataFrame, shared_scope: Iterable[str], self_judging: Iterable[str]
) -> list[PageWarning]:
    """Return the warnings of a run, one an alarm and judge; a missing key is not an alarm.

    Args:
        alarms: the table of that name.
        shared_scope: models whose prompts share the seed of their cell (`seed_scope: cell`).
        self_judging: a sentence for each judge that is also a model under test.
    """
    found = [PageWarning("A judge is also under test", text, []) for text in self_judging]
    shared = list(shared_scope)
    if shared:
        found.append(
            PageWarning(
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
    name, what, verbs = _WORDS[alarm]
    said, behind = [], []
    for row in rows:
        judge = None if alarm == "truncated_replies" else row["judge"]
        of = FlaggedPrompts(judge, row["model"], split_ids(row["ids"]))
        shown = row["ids"] if len(row["ids"]) < 100 else f"{row['ids'][:100].rsplit(' ', 1)[0]} ..."
        verb = verbs[row["n"] != 1]
        said.append(f"{of.whose}: {what.format(n=row['n'], of=row['of'], verb=verb, ids=shown)}")
        behind.append(of)
    text = _SAID_ONCE.get(alarm, "") + "; ".join(said) + "."
    return PageWarning(name, text, behind if alarm in _OF_PROMPTS else [])
