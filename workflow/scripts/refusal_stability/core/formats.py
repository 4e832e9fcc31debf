"""The format of our files, as their manifests say it: which are read, and what is said of others.

Only the standard library at import: the Snakefile looks at a run before its first job.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from refusal_stability.core import versions
from refusal_stability.core.errors import InputError

# Manifests that a run begins with, and folders of those of its cells and verdicts.
_FIRST = ("prompts.json", "labels.json")
_FOLDERS = ("responses/*", "verdicts/*")


def check(manifest: dict[str, Any], path: Path) -> None:
    """Raise InputError if ``manifest``, of the file ``path``, is of a format that is not read here.

    Older formats are read, and their files keep today's contracts or are named. One without a word
    of it is format 1.
    """
    found = manifest.get("format", 1)
    if type(found) is not int or found < 1:
        raise InputError(
            f"{path}: its format is {str(found)[:40]!r}, which is none of this workflow. Hint: "
            "delete it and the file that it is of, and run the same command again"
        )
    if found > versions.FORMAT:
        raise InputError(
            f"{path}: its format is {found}, and this version of the workflow reads formats up to "
            f"{versions.FORMAT}: a newer version wrote it. Hint: update the workflow, or give "
            "another name as `run`; nothing was changed"
        )


def check_run(folder: Path) -> None:
    """Raise InputError if a newer version began a run, or went on with it.

    This one might make its results again.
    """
    for path in [*(folder / name for name in _FIRST), *_newest(folder)]:
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        # The jobs that read it say so.
        except (OSError, ValueError):
            continue
        if isinstance(manifest, dict):
            check(manifest, path)


def _newest(folder: Path) -> Iterator[Path]:
    """Yield the manifest that was written last of each folder: of thousands, others take long."""
    for pattern in _FOLDERS:
        for cells in folder.glob(pattern):
            times = {}
            for path in cells.glob("*.json"):
                # A job that runs may take it away.
                with suppress(FileNotFoundError):
                    times[path] = path.stat().st_mtime_ns
            if times:
                yield max(times, key=times.__getitem__)
