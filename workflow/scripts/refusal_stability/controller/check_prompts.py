"""What no schema can say of a configuration's prompts, and whether those made are as expected."""

import collections
import json
import math
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from refusal_stability.prompts.files import read_prompt_file
from refusal_stability.prompts.sources import NAMED
from refusal_stability.settings.prompts import check_expectation, entries, recipe

# What a source may have besides `source`, and what every source may have.
_SOURCE_KEYS = {
    "demo": set(),
    "file": {"path"},
    "dataset": {
        "id",
        "path",
        "config",
        "split",
        "revision",
        "prompt_column",
        "category_column",
    },
    **{name: {"path", "revision"} for name in NAMED},
}
_SAMPLING_KEYS = {"limit", "per_category", "sample_seed"}
# What may stand beside `sources`.
_SHARED_KEYS = {"sources", "limit", "expect"}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def problems(prompts: dict[str, Any]) -> Iterator[str]:
    """Yield what no schema can say, one line each. Raises InputError for a file of prompts."""
    if "sources" in prompts:
        for key in sorted(prompts.keys() - _SHARED_KEYS):
            yield (
                f"prompts.{key}: does not belong beside sources. Hint: move it into an entry of "
                "sources"
            )
    for where, entry in entries(prompts):
        yield from _entry_problems(where, entry)
    expected = prompts.get("expect")
    if expected == {}:
        yield "prompts.expect: it is empty. Hint: give count, sha256 or both, or remove it"
    if expected and expected.get("count", 0) > prompts.get("limit", math.inf):
        yield (
            f"prompts.expect.count: {expected['count']} are more than prompts.limit, "
            f"{prompts['limit']}, lets through. Hint: correct it, or take expect out for a pilot"
        )
    if expected and "sha256" in expected and not _SHA256.fullmatch(expected["sha256"]):
        yield (
            f"prompts.expect.sha256: {expected['sha256']!r} is not 64 hexadecimal digits. "
            "Hint: copy it from the run's prompts.json"
        )


def _entry_problems(where: str, entry: dict[str, Any]) -> Iterator[str]:
    if "source" not in entry:
        several = ", or sources, a list of them" if where == "prompts" else ""
        yield f"{where}: the key 'source' is missing. Hint: give it{several}"
        return
    source = entry["source"]
    known = {"source"} | _SAMPLING_KEYS | _SOURCE_KEYS[source]
    for key in sorted(entry.keys() - known):
        yield f"{where}.{key}: does not belong to source {source}. Hint: remove it"
    if "sample_seed" in entry and "per_category" not in entry:
        yield f"{where}.sample_seed: nothing is sampled. Hint: give per_category, or remove it"
    if source == "file":
        yield from _file_problems(where, entry)
    elif source != "demo":
        yield from _dataset_problems(where, entry)


def _file_problems(where: str, entry: dict[str, Any]) -> Iterator[str]:
    if "path" not in entry:
        yield f"{where}: the key 'path' is missing. Hint: give your file of prompts"
        return
    path = Path(entry["path"])
    if not path.is_file():
        yield (
            f"{where}.path: no file {path}. Hint: give a path from the folder in which "
            "snakemake runs"
        )
    # The controller's environment may lack polars; then the job looks at the file.
    elif path.suffix != ".parquet" or find_spec("polars"):
        collections.deque(read_prompt_file(path), maxlen=0)


def _dataset_problems(where: str, entry: dict[str, Any]) -> Iterator[str]:
    if "path" in entry:
        if not Path(entry["path"]).is_dir():
            yield (
                f"{where}.path: no folder {entry['path']}. Hint: give a local copy of the "
                "dataset's repository; a single file is source: file"
            )
        for key in ("id", "revision"):
            if key in entry:
                yield (f"{where}.{key}: only a dataset on the hub has it. Hint: remove it, or path")
    elif entry["source"] == "dataset":
        if "id" not in entry:
            yield (
                f"{where}: the key 'id' is missing. Hint: give the dataset's owner/name on the "
                "hub, or path, a local copy"
            )
        elif not _HUB_ID.fullmatch(entry["id"]):
            yield (
                f"{where}.id: {entry['id']!r} is not an id of the Hugging Face hub. Hint: write "
                "owner/name; a local copy is path"
            )
        elif Path(entry["id"]).is_dir():
            yield f"{where}.id: {entry['id']} is a folder here. Hint: give it as path"


def check_made_prompts(prompts: dict[str, Any], manifest: Path) -> None:
    """Check prompts that an earlier run made from the same settings.

    An expectation is no reason to make them again, so no job would look at it. Prompts that are
    to be made again are checked by their job.

    Raises:
        InputError: they are not those that the configuration expects.
    """
    if "expect" not in prompts:
        return
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if found.get("settings") == recipe(prompts):
        check_expectation(prompts["expect"], found, str(manifest))
