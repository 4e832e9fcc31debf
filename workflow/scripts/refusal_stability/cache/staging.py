"""What a shared engine has finished, kept in the run's own folder as it is done.

The job of a shared engine may end at any time: when it is started again, it finds here what is
finished, and makes the rest.
"""

import json
import time
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import psutil

from refusal_stability.cache.collect import is_whole
from refusal_stability.core.errors import RefusalStabilityError
from refusal_stability.core.hashing import sha256_text
from refusal_stability.schemas.storage import read_parquet, write_parquet


class StagedResults:
    """A folder of tables, each with its manifest; every table keeps one contract."""

    def __init__(self, folder: Path, contract: type[dy.Schema]) -> None:
        """Use ``folder``, which need not exist."""
        self._folder, self._contract = folder, contract

    def keep(self, name: str, key: str, table: pl.DataFrame, manifest: dict[str, Any]) -> None:
        """Keep what is finished under a name; ``key`` is the hash of all that decides it."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(table, path, self._contract, manifest | {"key": key})

    def has(self, name: str, key: str) -> bool:
        """Tell whether this is finished, with this key and unharmed."""
        path = self._path(name)
        if not is_whole(path):
            return False
        try:
            manifest = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            if manifest["key"] != key:
                return False
            read_parquet(path, self._contract)
        except (KeyError, RefusalStabilityError):
            return False
        return True

    def missing(self, keys: dict[str, str]) -> list[str]:
        """Return the names of what is not finished, of {name: key}."""
        return [name for name, key in keys.items() if not self.has(name, key)]

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.parquet"


class JobSeconds:
    """The seconds of this process, shared out among what it finishes."""

    def __init__(self) -> None:
        """Begin with the process: the first piece of work has the start of the engine."""
        self.started = self._since = psutil.Process().create_time()

    def lap(self) -> float:
        """Return the seconds since the last call."""
        now = time.time()
        seconds, self._since = now - self._since, now
        return round(seconds, 3)


def work_key(*parts: Any) -> str:
    """Return the hash of all that decides a piece of work."""
    return sha256_text(json.dumps(parts, sort_keys=True))
