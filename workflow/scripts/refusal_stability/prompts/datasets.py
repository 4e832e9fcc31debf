"""Prompts of a dataset, from the Hugging Face hub or a local copy: no code of its is run."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from refusal_stability.core.errors import InputError
from refusal_stability.hub.access import check_disk, explained, first_lines, unreachable
from refusal_stability.prompts.files import checked_row
from refusal_stability.prompts.sources import CONTEXT_FORMAT, DatasetSource

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ABBREVIATED_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_TIMEOUT_SECONDS = 15


class PromptDataset(NamedTuple):
    """A dataset that has been loaded."""

    commit: str | None  # of the hub's repository; None for a local copy
    rows: Iterator[tuple[str, str, str | None]]  # (place, prompt, category)


def open_dataset(
    key: str, source: DatasetSource, path: str | None, revision: str | None
) -> PromptDataset:
    """Load a dataset, from the hub if no ``path`` is given. Its rows are checked as they come.

    Args:
        key: the configuration's key, for messages.
        source: where it is and what its columns mean.
        path: folder of a local copy, laid out as on the hub.
        revision: branch, tag or commit on the hub; None is the newest.

    Raises:
        InputError: it cannot be loaded, or lacks a column.
    """
    name = path or source.id
    if source.config:
        name += f" ({source.config})"
    dataset = _load(key, name, source, path, revision)
    lacking = [column for column in source.columns() if column not in dataset.column_names]
    if lacking:
        raise InputError(
            f"{key}: the dataset {name} has no column '{lacking[0]}', only "
            f"{', '.join(dataset.column_names)}. Hint: check id, config and columns, or read it "
            "by source: dataset with prompt_column and category_column"
        )
    commit = None if path else _commit(dataset)
    try:
        pinned = _pinned(source.id, revision) if revision and commit else ""
    # As in loading it.
    except Exception as error:
        raise _not_loaded(key, name, error, source, path, revision) from error
    if commit and not commit.startswith(pinned):
        # Where the hub is out of reach, datasets takes what it last loaded, of any revision.
        raise InputError(
            f"{key}: the hub cannot be reached, and what is here of the dataset {name} is "
            f"{commit}, not revision {revision}. Hint: this needs the network once"
        )
    return PromptDataset(commit, _rows(f"{name}, split {source.split}", dataset, source))


def _rows(place: str, dataset: Any, source: DatasetSource) -> Iterator[tuple[str, str, str | None]]:
    label = getattr(dataset.features.get(source.category), "int2str", None)
    for number, row in enumerate(dataset.select_columns(source.columns()), start=1):
        if source.only and row[source.only[0]] != source.only[1]:
            continue
        where = f"{place}, row {number}"
        category = row[source.category] if source.category else source.fixed_category
        if label and category is not None:
            # -1 stands for a category that is not known.
            category = label(category) if category >= 0 else None
        checked = {"prompt": row[source.prompt], "category": _first_category(category)}
        prompt, category = checked_row(where, checked)
        if source.context:
            context, _ = checked_row(where, {"prompt": row[source.context]}, "context")
            prompt = CONTEXT_FORMAT.format(context=context, prompt=prompt)
        yield where, prompt, category


def _first_category(value: Any) -> Any:
    if isinstance(value, Mapping):
        return next((name for name, holds in value.items() if holds), None)
    if isinstance(value, list):
        return next(iter(value), None)
    return value


def _load(
    key: str, name: str, source: DatasetSource, path: str | None, revision: str | None
) -> Any:
    import datasets
    import huggingface_hub

    # It quotes lines that it cannot read, which may be harmful text.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    # It tells each time that it tries again; what came of it is told below.
    huggingface_hub.logging.set_verbosity_error()
    if path and not Path(path).is_dir():
        raise InputError(f"{key}: no folder {path}. Hint: give a local copy of the dataset")
    try:
        # What it cached of a folder with a card, it takes again after the files were edited.
        mode = "force_redownload" if path else None
        builder = datasets.load_dataset_builder(
            # Absolute: `csv` alone would be a kind of file.
            str(Path(path).absolute()) if path else source.id,
            source.config,
            revision=revision,
            download_mode=mode,
        )
        if not path and not Path(builder.cache_dir).exists():
            check_disk(f"{key}: the dataset {name}", _bytes_to_load(builder))
        builder.download_and_prepare(download_mode=mode)
        return builder.as_dataset(split=source.split)
    except InputError:
        raise
    # Whatever a hub, a network or a file makes the libraries below raise.
    except Exception as error:
        raise _not_loaded(key, name, error, source, path, revision) from error


def _not_loaded(
    key: str,
    name: str,
    error: Exception,
    source: DatasetSource,
    path: str | None,
    revision: str | None,
) -> InputError:
    reason, hint = _explained(error, source, path, revision)
    return InputError(f"{key}: the dataset {name} cannot be loaded ({reason}). Hint: {hint}")


def _bytes_to_load(builder: Any) -> int:
    """What its card says, else its files twice: as they come, and as the table made of them."""
    from huggingface_hub import HfFileSystem

    files = HfFileSystem()
    lists = (builder.config.data_files or {}).values()
    listed = 2 * sum(files.info(file)["size"] for paths in lists for file in paths)
    return builder.info.size_in_bytes or listed


def _explained(
    error: Exception, source: DatasetSource, path: str | None, revision: str | None
) -> tuple[str, str]:
    """Return the reason and the hint for an error of `datasets`."""
    import datasets

    page = f"https://huggingface.co/datasets/{source.id}"
    reason = first_lines(error)
    if not path:
        known = explained(error, page, revision, (datasets.exceptions.DatasetNotFoundError,))
        if known:
            here = "; or give path, a local copy" if unreachable(error) else ""
            return known[0], known[1] + here
    if isinstance(error, datasets.exceptions.DatasetGenerationError):
        return "its files cannot be read as one table", (
            "check that the files of the split are whole and have the same columns"
        )
    if "split" in reason:
        return reason, "choose one of the splits that it has"
    if "config" in reason.lower():
        return reason, "choose one of the configurations that it has"
    return reason, "check its folder" if path else f"see {page}; or give path, a local copy"


def _commit(dataset: Any) -> str | None:
    """The commit of a hub's dataset: datasets keeps each one in a folder of that name."""
    for file in dataset.cache_files:
        folder = Path(file["filename"]).parent.name
        if _COMMIT.fullmatch(folder):
            return folder
    return None


def _pinned(dataset_id: str, revision: str) -> str:
    """The commit that a revision stands for; the hub is asked if this machine does not know."""
    from huggingface_hub import HfApi, constants

    folder = Path(constants.HF_HUB_CACHE, f"datasets--{dataset_id.replace('/', '--')}")
    try:
        return (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        if _ABBREVIATED_COMMIT.fullmatch(revision):
            return revision
        info = HfApi().dataset_info(dataset_id, revision=revision, timeout=_TIMEOUT_SECONDS)
        return info.sha or ""
