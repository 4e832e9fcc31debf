import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.workspace import REPOSITORY
from refusal_stability.core.cli import prefer_conda_environments

START = """
import ctypes, errno, os, sys
import polars as pl
from refusal_stability.core import cli, errors

def failing(error):
    raise error

def main():
"""


def ended(*lines: str) -> subprocess.CompletedProcess[str]:
    """A script with these lines as its ``main``, when it has ended."""
    script = f"{START}    {'; '.join(lines)}\n\ncli.run(main)\n"
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow/scripts")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "kind", ["ConfigError", "InputError", "ContractError", "InvalidVerdictsError"]
)
def test_an_error_that_the_user_can_fix_is_one_line(kind: str) -> None:
    result = ended(f"failing(errors.{kind}('what. Hint: this'))")
    assert (result.returncode, result.stderr) == (1, "error: what. Hint: this\n")


def test_other_errors_keep_their_traceback() -> None:
    result = ended("failing(ZeroDivisionError('by 0'))")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.endswith("ZeroDivisionError: by 0\n")


def test_a_panic_of_polars_keeps_its_traceback() -> None:
    result = ended("failing(pl.exceptions.PanicException('why'))")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith("PanicException: why")


def test_an_interruption_is_one_line() -> None:
    result = ended("failing(KeyboardInterrupt())")
    assert (result.returncode, result.stderr) == (1, "interrupted\n")


@pytest.mark.parametrize(
    "error",
    [
        "OSError(errno.ENOSPC, 'No space left on device')",
        "OSError(errno.EDQUOT, 'Disk quota exceeded')",
        # As polars says it.
        "pl.exceptions.ComputeError('IO error: No space left on device (os error 28)')",
    ],
)
def test_a_full_disk_is_one_line(error: str) -> None:
    result = ended(f"failing({error})")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(("error: No space left on device, in /", "error: Disk quota exceeded, "))
    assert " Hint: make room" in line


def test_success_is_exit_code_0_and_all_that_was_printed() -> None:
    result = ended("print('done')", "print('said', file=sys.stderr)")
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "said\n")


# As std::thread does at the end of a process that did not wait for it.
ABORTS = """
#include <stdio.h>
#include <stdlib.h>
__attribute__((destructor)) static void at_teardown(void) {
    fputs("terminate called without an active exception\\n", stderr);
    abort();
}
"""


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("failing(errors.InputError('what. Hint: this'))", 1, "error: what. Hint: this\n"),
        ("failing(KeyboardInterrupt())", 1, "interrupted\n"),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('usage')", 1, "usage\n"),
        ("pass", 0, ""),
    ],
)
def test_a_library_that_aborts_at_the_teardown_changes_no_exit_code(
    tmp_path: Path, line: str, code: int, says: str
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to make the library with")
    (tmp_path / "aborts.c").write_text(ABORTS, encoding="utf-8")
    command = ["gcc", "-shared", "-fPIC", "aborts.c", "-o", "aborts.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    result = ended(f"ctypes.CDLL({str(tmp_path / 'aborts.so')!r})", line)
    assert (result.returncode, result.stderr) == (code, says)


@pytest.mark.parametrize(
    ("line", "code"), [("pass", 0), ("sys.exit(3)", 3), ("failing(errors.InputError('x'))", 1)]
)
@pytest.mark.parametrize("closed", ["sys.stdout", "sys.stderr", "sys.stdout = sys.stderr"])
def test_streams_that_are_closed_change_no_exit_code(line: str, code: int, closed: str) -> None:
    # As Python has them where they were closed before its start.
    assert ended(f"{closed} = None", line).returncode == code


def test_processes_of_a_script_that_fails_are_gone_before_it() -> None:
    # A process that would go on for a minute; the other end of the pipe is open as long as it is.
    start = "p = multiprocessing.Process(target=time.sleep, args=(60,), daemon=True); p.start()"
    before = time.monotonic()
    result = ended("import multiprocessing, time", start, "failing(errors.InputError('x'))")
    assert result.returncode == 1
    assert time.monotonic() - before < 30


@pytest.mark.parametrize("line", ["pass", "failing(errors.InputError('x'))", "failing(OSError())"])
def test_what_was_to_be_cleaned_up_is(tmp_path: Path, line: str) -> None:
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    kept.touch()
    gone.touch()
    ended(f"cli.clean_up_with(lambda: os.remove({str(gone)!r}))", line)
    assert kept.exists()
    assert not gone.exists()


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
