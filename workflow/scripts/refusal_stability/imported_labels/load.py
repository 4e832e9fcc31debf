"""Labels that somebody already has: read from files, checked in full, turned into verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from refusal_stability.core.errors import InputError
from refusal_stability.core.hashing import sha256_file
from refusal_stability.core.labels import LABELS
from refusal_stability.core.names import Aliases, names_of
from refusal_stability.imported_labels import checks
from refusal_stability.imported_labels.files import LabelFiles
from refusal_stability.imported_labels.tables import LABEL_COLUMNS, read_table
from refusal_stability.schemas.stages import Verdicts

OPTIONAL_COLUMNS = ("response_sha256", "reason")
INFO_COLUMNS = ("prompt_id", "source", "category")
# The source of a prompt of which nothing is known.
UNKNOWN_SOURCE = "unknown"


@dataclass(frozen=True)
class Labels:
    """Labels that have passed every check.

    ``rows`` is sorted by judge, model, temperature, seed and prompt, each an Enum in its order;
    ``temperatures`` are the numbers behind the temperatures' texts.
    """

    rows: pl.DataFrame
    temperatures: dict[str, float]
    prompts: pl.DataFrame
    manifest: dict[str, Any]

    def verdicts(self) -> Iterator[tuple[str, str, pl.DataFrame]]:
        """Yield judge, model and a table that keeps the contract :class:`Verdicts`."""
        for (judge, model), rows in self.rows.group_by("judge", "model", maintain_order=True):
            yield judge, model, self._verdicts(rows)

    def _verdicts(self, rows: pl.DataFrame) -> pl.DataFrame:
        unknown = pl.lit(None, pl.Float64)
        return rows.with_columns(
            pl.col("temperature").replace_strict(self.temperatures, return_dtype=pl.Float64),
            pl.col("prompt_id").cast(pl.String),
            pl.col("seed").cast(pl.String).cast(pl.Int64),
            p_refuse=unknown,
            p_partial=unknown,
            p_comply=unknown,
        ).select(Verdicts.column_names())


def load_labels(
    paths: Sequence[Path],
    model_aliases: Aliases,
    judge_aliases: Aliases,
    prompt_info: Path | None = None,
) -> Labels:
    """Read label files, check all they hold, and return it in order.

    The order of rows does not matter, except that without ``prompt_info`` the prompts are in
    the order of their first rows.

    Raises:
        InputError: something is wrong; one line names file and row.
    """
    files = read_label_files(paths)
    checks.check_filled(files, LABEL_COLUMNS)
    checks.check_labels(files)
    checks.check_hashes(files)
    temperatures = checks.checked_temperatures(files)
    seeds = checks.checked_seeds(files)
    aliases = {"judge": judge_aliases, "model": model_aliases}
    names = {
        kind: names_of(
            kind,
            files.texts(kind),
            aliases[kind],
            lambda text, kind=kind: files.place_of(kind, text),
        )
        for kind in aliases
    }
    prompts, unused = _prompts(files, prompt_info)
    rows = files.rows.with_columns(
        *(_coded(files.rows[kind], list(names[kind].values()), names[kind]) for kind in names),
        _coded(files.rows["temperature"], sorted(temperatures.values(), key=float), temperatures),
        _coded(files.rows["seed"], sorted(seeds.values(), key=int), seeds),
        _coded(files.rows["prompt_id"], prompts["prompt_id"].to_list()),
        _coded(files.rows["label"], LABELS),
    )
    checks.check_distinct(files, rows)
    checks.check_grids(files, rows)
    checks.check_judges_overlap(files, rows)
    manifest = {
        "files": [
            {"path": str(path), "sha256": sha256_file(path), "rows": files.file_rows(number).height}
            for number, path in enumerate(files.paths)
        ],
        "count": rows.height,
        "prompts": prompts.height,
        "prompt_info": prompt_info
        and {
            "path": str(prompt_info),
            "sha256": sha256_file(prompt_info),
            "prompts_without_labels": unused,
        },
        "models": _spellings(names["model"]),
        "judges": _spellings(names["judge"]),
        "labels": _counts(rows),
    }
    ordered = rows.sort("judge", "model", "temperature", "seed", "prompt_id")
    numbers = {text: float(spelling) + 0.0 for spelling, text in temperatures.items()}
    return Labels(ordered, numbers, prompts, manifest)


def read_label_files(paths: Sequence[Path], columns: Sequence[str] = LABEL_COLUMNS) -> LabelFiles:
    """Read label files as they are. Raises InputError if one of them cannot be read."""
    tables = [_without_blank_end(path, _read(path, columns)) for path in paths]
    starts = [sum(table.height for table in tables[:number]) for number in range(len(tables))]
    return LabelFiles(list(paths), starts, pl.concat(tables))


def _read(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    def compact(table: pl.LazyFrame) -> pl.LazyFrame:
        # Categories while reading: 20 million rows of text would be several GB.
        return table.with_columns(pl.col(columns).cast(pl.Categorical))

    table = read_table(path, columns, OPTIONAL_COLUMNS, compact)
    absent = [column for column in OPTIONAL_COLUMNS if column not in table.columns]
    return table.with_columns(pl.lit(None, pl.String).alias(column) for column in absent).select(
        *columns, *OPTIONAL_COLUMNS
    )


def _without_blank_end(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    """Leave out blank lines at the end of a file; those before a row are mistakes."""
    filled = table.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    if not filled.any():
        raise InputError(f"{path}: there are no rows. Hint: leave the file out, or fill it")
    return table.head(table.height - filled.reverse().arg_max())


def _coded(
    column: pl.Series, categories: Sequence[str], names: Mapping[str, str] | None = None
) -> pl.Series:
    """Replace the texts of a column by their names, as an Enum in the order of categories."""
    rank = {name: number for number, name in enumerate(dict.fromkeys(categories))}
    texts = column.unique()
    codes = pl.Series([rank[names[text] if names else text] for text in texts], dtype=pl.UInt32)
    return (
        column.to_physical()
        .replace_strict(texts.to_physical(), codes, return_dtype=pl.UInt32)
        .cat.to(pl.Enum(list(rank)))
        .alias(column.name)
    )


def _prompts(files: LabelFiles, prompt_info: Path | None) -> tuple[pl.DataFrame, int]:
    """Return the prompts that have labels, and how many of ``prompt_info`` have none."""
    prompt_ids = files.texts("prompt_id")
    if prompt_info is None:
        columns = {"prompt_id": prompt_ids, "source": UNKNOWN_SOURCE, "category": None}
        return pl.DataFrame(columns, schema=dict.fromkeys(INFO_COLUMNS, pl.String)), 0
    info = _without_blank_end(prompt_info, read_table(prompt_info, INFO_COLUMNS))
    checks.check_prompt_info(prompt_info, info, files, prompt_ids)
    prompts = info.filter(pl.col("prompt_id").is_in(prompt_ids))
    return prompts.with_columns(pl.col("source").fill_null(UNKNOWN_SOURCE)), (
        info.height - prompts.height
    )


def _spellings(names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return {name: the spellings that were found}."""
    found: dict[str, list[str]] = {}
    for spelling, name in names.items():
        found.setdefault(name, []).append(spelling)
    return found


def _counts(rows: pl.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """Return {judge: {model: {label: how many}}}."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    table = rows.group_by("judge", "model", "label").len()
    for judge, model, label, n in table.sort("judge", "model", "label").iter_rows():
        counts.setdefault(judge, {}).setdefault(model, {})[label] = n
    return counts
