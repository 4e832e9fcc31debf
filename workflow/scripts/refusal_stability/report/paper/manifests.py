"""What the manifests of a run say of how it was made: facts, and how many cells each holds for."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from refusal_stability.core import formats
from refusal_stability.core.errors import InputError

Manifest = dict[str, Any]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises InputError if it is none, or of a newer version."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        formats.check(manifest, path)
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: not a readable manifest. Hint: delete it and run snakemake again"
        ) from error
    return manifest


def seen(manifests: Sequence[Manifest], key: str) -> str | None:
    """Return what manifests say under a key; if they differ, each with its count; else None."""
    values = Counter(
        manifest[key] for manifest in manifests if manifest.get(key) not in (None, {}, "")
    )
    known = sum(values.values())
    if not known:
        return None
    if len(values) == 1 and known == len(manifests):
        return str(next(iter(values)))
    shown = [f"{value} ({count} of {len(manifests)})" for value, count in values.most_common()]
    return ", ".join(shown)


def summed(manifests: Iterable[Manifest], key: str) -> dict[str, int]:
    """Return the sums of counts that manifests have under a key, such as of the labels."""
    total: Counter[str] = Counter()
    for manifest in manifests:
        total.update(manifest.get(key) or {})
    return dict(total)


def digest(manifests: Sequence[Manifest], key: str) -> str | None:
    """Return a hash, shortened to 16 digits, or several with their counts."""
    short = [{key: (manifest.get(key) or "")[:16]} for manifest in manifests]
    return seen(short, key)


def ranges(numbers: Sequence[int]) -> str:
    """Return "42-46", or "1, 3, 4-6"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )
