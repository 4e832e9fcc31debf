"""How many prompts a run will ask, as far as that can be told before they are read."""

import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from refusal_stability.costs.amounts import UNKNOWN, Amount, Certainty
from refusal_stability.prompts import demo_corpus
from refusal_stability.prompts.files import read_prompt_file
from refusal_stability.settings.prompts import DEMO_CORPUS, entries, recipe


def prompt_count(prompts: dict[str, Any], manifest: Path | None) -> tuple[Amount, str]:
    """Return the number of prompts and where it is from.

    Args:
        prompts: the key `prompts` of the configuration.
        manifest: the run's prompts.json, if it may be believed.

    Raises:
        InputError: a file of prompts cannot be read.
    """
    made = _made(prompts, manifest)
    if made is not None:
        return Amount(made), str(manifest)
    if "count" in prompts.get("expect", {}):
        return Amount(prompts["expect"]["count"]), "prompts.expect"
    counts = [_entry_count(entry) for _, entry in entries(prompts)]
    total = sum(counts, Amount())
    if len(counts) > 1:
        # Two sources may share a prompt, which is asked once.
        total = total * Amount(1, Certainty.AT_MOST)
    return _limited(total, prompts.get("limit")), "the configuration"


def _made(prompts: dict[str, Any], manifest: Path | None) -> int | None:
    if manifest is None:
        return None
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found["count"] if found.get("settings") == recipe(prompts) else None


def _entry_count(entry: dict[str, Any]) -> Amount:
    rows = _rows(entry)
    if rows is None:
        return _limited(UNKNOWN, entry.get("limit"))
    categories = Counter(dict(rows).values()) if "per_category" in entry else Counter()
    distinct = (
        sum(min(n, entry["per_category"]) for n in categories.values())
        if categories
        else len({prompt for prompt, _ in rows})
    )
    return _limited(Amount(distinct), entry.get("limit"))


def _rows(entry: dict[str, Any]) -> list[tuple[str, str | None]] | None:
    """(prompt, category) of what lies here, the last of equal prompts first; else None."""
    if entry["source"] == "demo":
        held_out = demo_corpus.heldout_prompts(demo_corpus.load_corpus(DEMO_CORPUS))
        rows = [(item["prompt"], item["category"]) for item in held_out]
    elif entry["source"] == "file":
        path = Path(entry["path"])
        if path.suffix == ".parquet" and not find_spec("polars"):
            return None
        rows = [(prompt, category) for _, prompt, category in read_prompt_file(path)]
    else:
        return None
    # So that a dictionary keeps the first of equal prompts, as the run does.
    return rows[::-1]


def _limited(count: Amount, limit: int | None) -> Amount:
    if limit is None or count.value <= limit:
        return count
    exact = count.certainty is Certainty.EXACT
    return Amount(limit, Certainty.EXACT if exact else Certainty.AT_MOST)
