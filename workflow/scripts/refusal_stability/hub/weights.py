"""Weights from the Hugging Face hub: one revision, fetched once, found again without the network.

They lie in the hub's own cache (HF_HOME), which other programs share. Only the standard library at
import: the Snakefile reads names here.
"""

import fcntl
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from refusal_stability.core.errors import InputError
from refusal_stability.hub.access import (
    cache_folder,
    check_disk,
    explained,
    first_lines,
    gigabytes,
    unreachable,
)

DEFAULT_REVISION = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
# Weights for other programs, or the same once more; vLLM reads the first kind below that is there.
_WEIGHTS = (".safetensors", ".bin", ".pt")
# Of these, those that Python unpickles.
_PICKLED = _WEIGHTS[1:]
_NEEDLESS = {
    ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".mlmodel", ".npz",
}  # fmt: skip
# Also a folder: templates beside the default one.
_TEMPLATES = "additional_chat_templates"
_TIMEOUT_SECONDS = 15


def label(weights: str, revision: str | None) -> str:
    """Return a file name for one revision of an id: owner--name@revision."""
    return f"{weights}@{revision or DEFAULT_REVISION}".replace("/", "--")


def pinned(entry: dict[str, Any], record: Path | None) -> dict[str, Any]:
    """Return a model's or judge's settings with the commit that was fetched as its revision.

    Args:
        entry: its settings.
        record: what :func:`fetch` returned, as a JSON file; None for weights not of the hub.
    """
    if record is None:
        return entry
    return {**entry, "revision": json.loads(record.read_text(encoding="utf-8"))["commit"]}


def wanted_files(names: Iterable[str]) -> list[str]:
    """Return which files of a repository the engine needs.

    Those at its top, but no weights twice: of safetensors, .bin and .pt the first kind that is
    there, and safetensors as transformers writes them rather than consolidated ones.
    """
    paths = {name: PurePosixPath(name) for name in names}
    kept = {
        name: path
        for name, path in paths.items()
        if str(path.parent) in (".", _TEMPLATES) and path.suffix not in _NEEDLESS
    }
    kinds = {path.suffix for path in kept.values()}
    needless = set(_WEIGHTS) - {next((kind for kind in _WEIGHTS if kind in kinds), "")}
    files = [name for name, path in kept.items() if path.suffix not in needless]
    consolidated = {name for name in files if re.match(r"consolidated.*\.safetensors", name)}
    if any(name.endswith(".safetensors") for name in files if name not in consolidated):
        files = [name for name in files if name not in consolidated]
    return sorted(files)


def pickle_problem(names: Iterable[str], allowed: bool) -> str | None:
    """Return what is wrong with weights that only come as pickles: a pickle may hold a program.

    Args:
        names: files of a folder or repository.
        allowed: whether somebody has said that he trusts them.
    """
    pickled = [name for name in wanted_files(names) if PurePosixPath(name).suffix in _PICKLED]
    if not pickled or allowed:
        return None
    return (
        f"the weights are no safetensors but {pickled[0]}, a pickle, which may hold a program. "
        "Hint: take weights in safetensors, or, if you trust these, set allow_pickle: true"
    )


def refuse_pickles(where: str, names: Iterable[str], allowed: bool) -> None:
    """Raise InputError, which says ``where``, if there is a :func:`pickle_problem`."""
    if problem := pickle_problem(names, allowed):
        raise InputError(f"{where}: {problem}")


def cached_snapshot(weights: str, revision: str | None) -> Path | None:
    """Return the folder of a revision on this machine; None if it or a wanted file is missing."""
    snapshot = _snapshot(weights, revision)
    files = _sizes(weights, snapshot) if snapshot else {}
    return snapshot if _has_weights(files) and None not in files.values() else None


def fetch(
    weights: str, revision: str, progress: TextIO, allow_pickle: bool = False
) -> dict[str, Any]:
    """Download what the engine needs of one revision, unless it is here already.

    Access, revision and free disk are checked before the first file. A commit that is here
    needs no network; another revision does not either, where there is none.

    Args:
        weights: owner/name.
        revision: branch, tag or commit.
        progress: where bars are drawn, if it is a terminal.
        allow_pickle: also fetch weights that are no safetensors.

    Returns:
        A record of what is here: weights, revision, commit, bytes, and files with their sizes.

    Raises:
        InputError: the hub refuses it or cannot be reached, the disk is too small, or the weights
            are pickles.
    """
    snapshot = cached_snapshot(weights, revision)
    if snapshot is None or not _COMMIT.fullmatch(revision):
        try:
            _download(weights, revision, progress, allow_pickle)
        except InputError:
            raise
        # Whatever a hub, a network or a disk makes the libraries below raise.
        except Exception as error:
            if snapshot is None or not unreachable(error):
                page = f"https://huggingface.co/{weights}"
                reason, hint = explained(error, page, revision) or (
                    first_lines(error),
                    f"see {page}",
                )
                raise InputError(
                    f"{weights}: revision {revision} cannot be fetched ({reason}). Hint: {hint}"
                ) from error
            print(f"The hub cannot be reached; {revision} is what is here of it", file=sys.stderr)
        snapshot = cached_snapshot(weights, revision)
        if snapshot is None:
            raise InputError(
                f"{weights}: revision {revision} changed while it was fetched. Hint: run again, or "
                "pin a commit"
            )
    files = _sizes(weights, snapshot)
    refuse_pickles(f"{weights}: revision {revision}", files, allow_pickle)
    return {
        "weights": weights,
        "revision": revision,
        "commit": snapshot.name,
        "bytes": sum(filter(None, files.values())),
        "files": files,
    }


def _download(weights: str, revision: str, progress: TextIO, allow_pickle: bool) -> None:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import tqdm

    class Bars(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"file": progress})

    api = HfApi()
    commit = api.model_info(weights, revision=revision, timeout=_TIMEOUT_SECONDS).sha
    api.auth_check(weights)
    listed = api.list_repo_tree(weights, revision=commit, recursive=True)
    # Folders have no size.
    tree = {file.path: file for file in listed if hasattr(file, "size")}
    wanted = wanted_files(tree)
    if not _has_weights(wanted):
        raise InputError(
            f"{weights}: revision {revision} holds no weights in safetensors. Hint: choose the "
            "repository of a transformers checkpoint"
        )
    refuse_pickles(f"{weights}: revision {revision}", tree, allow_pickle)
    with _alone():
        storage = _storage(weights)
        missing = {
            name: tree[name].size
            for name in wanted
            if not (storage / "snapshots" / commit / name).exists()
            and not (storage / "blobs" / _blob(tree[name])).exists()
        }
        check_disk(f"{weights}: revision {revision}", sum(missing.values()))
        print(
            f"{weights} at {commit}: {len(missing)} of {len(wanted)} files are missing, "
            f"{gigabytes(sum(missing.values()))}; fetching them into {storage}",
            file=sys.stderr,
            flush=True,
        )
        snapshot_download(weights, revision=revision, allow_patterns=wanted, tqdm_class=Bars)


@contextmanager
def _alone() -> Iterator[None]:
    """Fetch one revision after the other: each has room if its own check says so, and one bar."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / ".refusal-stability.lock").open("w") as file:
        # Some shared file systems have no locks: then they are fetched side by side.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _storage(weights: str) -> Path:
    return cache_folder() / f"models--{weights.replace('/', '--')}"


def _snapshot(weights: str, revision: str | None) -> Path | None:
    """The folder of a revision, as far as this machine knows it, complete or not."""
    storage, commit = _storage(weights), revision or DEFAULT_REVISION
    if not _COMMIT.fullmatch(commit):
        try:
            commit = (storage / "refs" / commit).read_text(encoding="utf-8").strip()
        except OSError:
            return None
    folder = storage / "snapshots" / commit
    return folder if folder.is_dir() else None


def _sizes(weights: str, snapshot: Path) -> dict[str, int | None]:
    """The size of each wanted file in bytes; None for one that is missing."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        names = {
            file.path
            for file in get_cached_repo_tree(
                weights, revision=snapshot.name, cache_dir=cache_folder()
            )
        }
    except CachedRepoTreeNotFoundError:
        # Fetched by an older huggingface_hub: the index tells which weights there must be.
        names = {
            path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()
        }
        for index in snapshot.glob("*.index.json"):
            names |= set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return {
        name: path.stat().st_size if (path := snapshot / name).is_file() else None
        for name in wanted_files(names)
    }


def _has_weights(names: Iterable[str]) -> bool:
    return any(PurePosixPath(name).suffix in _WEIGHTS for name in names)


def _blob(file: Any) -> str:
    return file.lfs.sha256 if file.lfs else file.blob_id
