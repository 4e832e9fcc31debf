"""The Hugging Face hub: where its files lie here, and what it refuses, in words.

Only the standard library at import: the Snakefile reads names of what uses this.
"""

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from refusal_stability.core.errors import InputError

_TOKENS = "https://huggingface.co/settings/tokens"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def cache_folder() -> Path:
    """Return the folder in which the hub's repositories are kept on this machine."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


def check_disk(what: str, needed: int) -> None:
    """Raise InputError if the cache folder's disk has less than ``needed`` bytes free."""
    cache = cache_folder()
    free = shutil.disk_usage(next(path for path in (cache, *cache.parents) if path.exists())).free
    if free < needed:
        raise InputError(
            f"{what} needs {gigabytes(needed)} in {cache}, which has {gigabytes(free)} free. "
            "Hint: make room, or set HF_HOME to a folder on a larger disk"
        )


def gigabytes(size: int) -> str:
    """Return a size in bytes for people."""
    return f"{size / 1e9:.2f} GB"


def explained(
    error: Exception, page: str, revision: str | None, unknown: tuple[type[Exception], ...] = ()
) -> tuple[str, str] | None:
    """Return the reason and the hint for an error of ``huggingface_hub``, None if it is another.

    Args:
        error: what it raised, or what a library above it raised instead.
        page: web page of the repository.
        revision: the one that was asked for.
        unknown: what that library raises for a repository that there is not.
    """
    from huggingface_hub import errors

    causes = list(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in _NO_ROOM for cause in causes):
        return "the disk, or your quota, is full", (
            "make room, or set HF_HOME to a folder with more, and run again: whole files are kept"
        )
    # What a library raises last may have lost its cause, and has words for it only.
    if _any(causes, errors.GatedRepoError) or "gated dataset" in str(error):
        return "it is gated", (
            f"open {page} and accept its terms, then set the variable HF_TOKEN to a token of "
            f"{_TOKENS}"
        )
    if _any(causes, errors.RevisionNotFoundError):
        return f"it has no revision {revision}", f"choose a commit of {page}/commits/main"
    if _any(causes, errors.RepositoryNotFoundError, *unknown):
        return "the hub has none of this id, or it is private", (
            f"open {page}; a private one needs the variable HF_TOKEN"
        )
    status = next(_statuses(causes), None)
    if status in (401, 403):
        return "the hub refuses the token", (
            f"set the variable HF_TOKEN to a token of {_TOKENS} that is valid and may read gated "
            "repositories, or unset it"
        )
    if status is not None:
        return f"the hub answers with status {status}", f"see whether {page} opens, and run again"
    if unreachable(error):
        return "the hub cannot be reached", "this needs the network once, and HF_HUB_OFFLINE unset"
    return None


def unreachable(error: Exception) -> bool:
    """Tell whether the hub gave no answer: there is no network, or it is down."""
    from httpx2 import TransportError
    from huggingface_hub import errors

    causes = list(_causes(error))
    silent = (TransportError, ConnectionError, TimeoutError, errors.OfflineModeIsEnabled)
    return _any(causes, *silent) or any(status >= 500 for status in _statuses(causes))


def first_lines(error: Exception) -> str:
    """Return what an error says first; the second line of some lists what there is to choose."""
    return " ".join(str(error).splitlines()[:2]).strip().rstrip(".") or type(error).__name__


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _statuses(causes: list[BaseException]) -> Iterator[int]:
    for cause in causes:
        response = getattr(cause, "response", None)
        if response is not None:
            yield response.status_code
