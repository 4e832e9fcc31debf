"""Reading and writing: files appear whole or not at all, and keep their contracts."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from refusal_stability.core import formats, versions
from refusal_stability.core.errors import ContractError, InputError
from refusal_stability.core.hashing import sha256_file
from refusal_stability.core.text import first_line

# Of the bytes of the file beside it, in a manifest; those of format 1 may lack it.
CHECKSUM = "file_sha256"
_AGAIN = (
    "Hint: delete both and run the same command again: they are made again, if anything needs them"
)
# In which a writer has followed up a file with its manifest.
_SECONDS_BETWEEN = 1.0


def read_parquet(path: Path, contract: type[dy.Schema]) -> pl.DataFrame:
    """Read one stage's file.

    Raises:
        InputError: it cannot be read, is not the one that its manifest is of, or a newer version
            wrote it.
        ContractError: it is wrong.
    """
    _check_manifest(path)
    try:
        table = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path}: not a readable Parquet file ({first_line(error)}). "
            "Hint: delete it and run snakemake again"
        ) from error
    return checked(table, contract, path)


def write_parquet(
    table: pl.DataFrame,
    path: Path,
    contract: type[dy.Schema],
    manifest: dict[str, Any] | None = None,
) -> None:
    """Write one stage's file, with the contract's columns in the contract's order.

    Its manifest is written beside it and has the file's checksum: a file that was damaged or
    replaced is found by whoever reads it.
    """
    table = checked(table, contract, path)
    # At no time is there a manifest of another file.
    path.with_suffix(".json").unlink(missing_ok=True)
    checksum = ""

    def write(part: Path) -> None:
        nonlocal checksum
        table.write_parquet(part, compression="zstd")
        # Of what is written here, whoever else writes this file at the same time.
        checksum = sha256_file(part)

    _write_whole(path, write)
    # It comes last: what has one is whole.
    write_json({**(manifest or {}), CHECKSUM: checksum}, path.with_suffix(".json"))


def read_csv(path: Path, contract: type[dy.Schema]) -> pl.DataFrame:
    """Read a table for people. Raises InputError if unreadable, ContractError if it is wrong."""
    try:
        # All text first: a model may be named 007.
        table = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: not a readable CSV file ({first_line(error)})") from error
    # The one cast from text that polars does not have; any other word breaks the contract.
    table = table.with_columns(
        pl.col(name).replace_strict({"true": True, "false": False}, default=None)
        for name, column in contract.columns().items()
        if column.dtype == pl.Boolean and name in table.columns
    )
    return checked(table, contract, path)


def write_csv(table: pl.DataFrame, path: Path, contract: type[dy.Schema]) -> None:
    """Write a table for people: CSV, with the contract's columns in the contract's order."""
    table = checked(table, contract, path)
    _write_whole(path, table.write_csv)


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write a manifest: readable JSON, keys in the order given, after the format of our files."""
    content = {"format": versions.FORMAT, **content}
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)


def write_text(text: str, path: Path) -> None:
    """Write a text in UTF-8."""
    _write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def checked(table: pl.DataFrame, contract: type[dy.Schema], path: Path) -> pl.DataFrame:
    """Return a table with the contract's columns and types. Raises ContractError if it has none."""
    try:
        return contract.validate(table, cast=True)
    except (dy.exc.SchemaError, dy.exc.ValidationError, pl.exceptions.PolarsError) as error:
        # Only the names of the broken rules: polars quotes values, which may be harmful text.
        if isinstance(error, pl.exceptions.PolarsError) and not isinstance(
            error, dy.exc.SchemaError
        ):
            broken = "a column has values of another type"
        else:
            broken = " ".join(str(error).split("Resolved plan")[0].split())
        raise ContractError(
            f"{path}: breaks the contract {contract.__name__}: {broken}. "
            "Hint: it was not written by this version of the workflow; delete it and run again"
        ) from error


def _check_manifest(path: Path) -> None:
    """Raise InputError if a file has a manifest and is not what that says."""
    if _is_as_written(path):
        return
    # Of another run, which is being made, one of both may be new already.
    time.sleep(_SECONDS_BETWEEN)
    if not _is_as_written(path):
        raise InputError(
            f"{path}: not the file that its manifest {path.stem}.json is of: it was damaged or "
            f"replaced after it was written, or an older version wrote it. {_AGAIN}"
        )


def _is_as_written(path: Path) -> bool:
    """Whether a file is what its manifest says, if that has its checksum."""
    manifest = path.with_suffix(".json")
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        expected = content.get(CHECKSUM)
        formats.check(content, manifest)
        return expected is None or sha256_file(path) == expected
    except FileNotFoundError:
        # One of both is not there: older versions wrote no manifest.
        return True
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{manifest}: the manifest of {path} cannot be read. {_AGAIN}") from error


def _write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Same folder, so that the rename is atomic; the process id, so that two writers never meet.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
