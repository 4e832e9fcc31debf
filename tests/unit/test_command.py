import errno
import os
import sys
from pathlib import Path

import polars as pl
import pytest

from refusal_stability import errors
from refusal_stability.command import prefer_conda_environments, run


def failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "kind",
    [errors.ConfigError, errors.InputError, errors.ContractError, errors.InvalidVerdictsError],
)
def test_an_error_that_the_user_can_mend_is_one_line(kind: type[Exception]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(lambda: failing(kind("what. Hint: this")))
    # Text as an exit code is printed to standard error, with exit code 1.
    assert caught.value.code == "error: what. Hint: this"


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: failing(ZeroDivisionError()))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        # As polars says it.
        pl.exceptions.ComputeError("IO error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line(error: Exception) -> None:
    with pytest.raises(SystemExit, match=r"error: (No space|Disk quota).* in /.* Hint: make room"):
        run(lambda: failing(error))


def test_success_returns() -> None:
    run(lambda: None)


def test_conda_environments_go_before_the_virtual_environment_and_the_users_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([own, "/base/bin", own, "/usr/bin"]))
    monkeypatch.delenv("PYTHONNOUSERSITE", raising=False)
    prefer_conda_environments()
    assert os.environ["PATH"] == os.pathsep.join(["/base/bin", "/usr/bin"])
    assert os.environ["PYTHONNOUSERSITE"] == "1"


def test_a_conda_environment_that_holds_snakemake_and_conda_stays_on_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    monkeypatch.setenv("PYTHONNOUSERSITE", "")
    path = os.environ["PATH"]
    prefer_conda_environments()
    assert os.environ["PATH"] == path
