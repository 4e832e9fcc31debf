"""What was computed before, in any run: replies and verdicts by the key of all that decides them.

A key (:mod:`cache.keys`) has a folder, and in it part files that never change.
A part is named by the SHA-256 of its bytes, written aside and renamed: any number of jobs read and
write at once, on any file system and without locks. A part that is not what its name and its place
say is never trusted: it is ignored, and said in the log.
"""

import hashlib
import io
import os
import re
import sys
import uuid
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from refusal_stability.schemas.stages import CachedReplies, CachedVerdicts
from refusal_stability.schemas.storage import checked

_PART = re.compile(r"([0-9a-f]{64})\.parquet")
_REPLIES, _VERDICTS = "responses", "verdicts"


class Store:
    """Rows of one contract, by key and, within a key, by request."""

    def __init__(self, folder: Path, contract: type[dy.Schema]) -> None:
        """Use ``folder``, which need not exist.

        Args:
            folder: what any number of jobs and runs share.
            contract: has the columns ``key`` and ``request``, and what is kept of a request.
        """
        self.folder = folder
        self._contract = contract

    def get(self, key: str, requests: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return {request: row} for those of ``requests`` that are known under ``key``.

        Where two jobs kept the same request, it is always the same one's that counts.
        """
        wanted = pl.Series(list(requests), dtype=pl.String).implode()
        found: dict[str, dict[str, Any]] = {}
        untrusted = []
        for path in self._parts(key):
            part = _trusted(path, key, self._contract)
            if part is None:
                untrusted.append(path.name)
                continue
            rows = part.filter(pl.col("request").is_in(wanted)).drop("key")
            for row in rows.iter_rows(named=True):
                found.setdefault(row.pop("request"), row)
        if untrusted:
            print(
                f"{self._of(key)}: {len(untrusted)} file(s) are not what was kept there and are "
                f"ignored, such as {untrusted[0][:80]!r}",
                file=sys.stderr,
            )
        return found

    def add(self, key: str, rows: Iterable[dict[str, Any]]) -> None:
        """Keep rows under ``key``, each with its ``request``, in one part; one row a request.

        A store that cannot be written loses nothing but the work it could save: that is a line in
        the log.

        Raises:
            ContractError: a row is not what the contract says.
        """
        rows = list({row["request"]: {"key": key, **row} for row in rows}.values())
        if not rows:
            return
        buffer = io.BytesIO()
        # Without statistics and in this order, the same rows are the same bytes.
        table = pl.DataFrame(rows, infer_schema_length=None)
        table = checked(table, self._contract, self._of(key))
        table.sort("request").write_parquet(buffer, compression="zstd", statistics=False)
        content = buffer.getvalue()
        folder = self._of(key)
        # Two writers may be of one process, or of two nodes with the same process ids.
        aside = folder / f".{uuid.uuid4().hex}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with aside.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(aside, folder / f"{hashlib.sha256(content).hexdigest()}.parquet")
            finally:
                aside.unlink(missing_ok=True)
        except OSError as error:
            print(
                f"{folder}: {len(rows)} results are not kept for other runs ({error.strerror})",
                file=sys.stderr,
            )

    def _of(self, key: str) -> Path:
        # No folder has tens of thousands of others, which some file systems are slow with.
        return self.folder / key[:2] / key

    def _parts(self, key: str) -> list[Path]:
        try:
            # What begins with a dot is being written, or was when its job died.
            return sorted(path for path in self._of(key).iterdir() if path.name[0] != ".")
        except FileNotFoundError:
            return []
        except OSError as error:
            print(f"{self._of(key)}: cannot be read ({error.strerror})", file=sys.stderr)
            return []


def reply_store(folder: Path) -> Store:
    """Return the store of replies in a cache folder."""
    return Store(folder / _REPLIES, CachedReplies)


def verdict_store(folder: Path) -> Store:
    """Return the store of verdicts in a cache folder."""
    return Store(folder / _VERDICTS, CachedVerdicts)


def _trusted(path: Path, key: str, contract: type[dy.Schema]) -> pl.DataFrame | None:
    """Return the rows of a part; None if it is not what its name and its place say."""
    name = _PART.fullmatch(path.name)
    if name is None:
        return None
    try:
        # A link may lead anywhere, and a pipe would never end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            content = file.read()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != name[1]:
        return None
    try:
        table = pl.read_parquet(io.BytesIO(content))
    # Polars panics at some files that are none of its own.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError):
        return None
    if table.columns != contract.column_names() or not contract.is_valid(table):
        return None
    return table if (table["key"] == key).all() else None
