"""From what a shared engine kept to where it belongs. Only the standard library: it runs a cell."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from refusal_stability.core.errors import InputError

# Seconds in which a file system between nodes has shown a new file everywhere.
PATIENCE = 60


def is_whole(kept: Path) -> bool:
    """Tell whether a table is the one that its manifest is of."""
    try:
        manifest = json.loads(kept.with_suffix(".json").read_text(encoding="utf-8"))
        # The key of format 1 was shorter.
        expected = manifest.get("file_sha256") or manifest["sha256"]
        with kept.open("rb") as file:
            return expected == hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def take(kept: Path, marker: Path, output: Path, patience: float = PATIENCE) -> None:
    """Put a table and its manifest in their place, as links where the file system has them.

    Args:
        kept: the table; its manifest lies beside it.
        marker: the file by which Snakemake knows that it is finished.
        output: where it belongs, and the manifest beside it.
        patience: seconds to wait for files that another node made.

    Raises:
        InputError: it is not whole, or gone. Then the marker goes too, so that Snakemake knows.
    """
    deadline = time.monotonic() + patience
    while not (kept.exists() and kept.with_suffix(".json").exists()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    if not is_whole(kept):
        marker.unlink(missing_ok=True)
        raise InputError(
            f"{kept}: not as the engine left it. Hint: run snakemake again, and it is made again"
        )
    # At no time is there a manifest of another table.
    for suffix in (".json", ".parquet"):
        output.with_suffix(suffix).unlink(missing_ok=True)
    for suffix in (".parquet", ".json"):
        place = output.with_suffix(suffix)
        try:
            os.link(kept.with_suffix(suffix), place)
        except OSError:
            shutil.copyfile(kept.with_suffix(suffix), place)
