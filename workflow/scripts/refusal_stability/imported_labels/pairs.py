"""Which judge labelled which model: read from the label files while a run is planned."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from refusal_stability.core.errors import InputError
from refusal_stability.core.names import Aliases, names_of
from refusal_stability.imported_labels.tables import (
    LABEL_COLUMNS,
    checked_columns,
    place,
    read_table,
)


def label_pairs(
    paths: Sequence[str], model_aliases: Aliases, judge_aliases: Aliases
) -> list[tuple[str, str]]:
    """Return the (judge, model) pairs of label files, judge by judge.

    Only the two columns are read, and the names of all; the labels are checked by the job that
    imports them.

    Raises:
        InputError: polars is missing, a file cannot be read, or a name cannot be used.
    """
    if find_spec("polars") is None:
        raise InputError(
            "labels: to plan a run from labels, Snakemake's Python needs polars. "
            "Hint: pip install polars"
        )
    found: dict[tuple[str, str], Path] = {}
    for path in map(Path, paths):
        checked_columns(path, LABEL_COLUMNS)
        pairs = read_table(
            path, ("judge", "model"), shape=lambda table: table.unique(maintain_order=True)
        )
        for pair in pairs.drop_nulls().rows():
            found.setdefault(pair, path)
    if not found:
        raise InputError(
            f"{paths[0]}: no row names a judge and a model. Hint: fill in both columns"
        )
    judges = _names("judge", found, judge_aliases)
    models = _names("model", found, model_aliases)
    named = {(judges[judge], models[model]) for judge, model in found}
    return [
        (judge, model)
        for judge in dict.fromkeys(judges.values())
        for model in dict.fromkeys(models.values())
        if (judge, model) in named
    ]


def _names(kind: str, found: dict[tuple[str, str], Path], aliases: Aliases) -> dict[str, str]:
    position = ("judge", "model").index(kind)
    files: dict[str, Path] = {}
    for pair, path in found.items():
        files.setdefault(pair[position], path)

    def first_place(spelling: str) -> str:
        column = read_table(files[spelling], (kind,))[kind]
        return place(files[spelling], (column == spelling).arg_max())

    return names_of(kind, files, aliases, first_place)
