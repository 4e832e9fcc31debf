"""The last lines of a run that failed."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from refusal_stability.controller import failures

LOGS = Path(".snakemake/slurm_logs")


class Wildcards(list):
    """Snakemake's: a list of the values that knows their names."""

    def __init__(self, **values: str) -> None:
        super().__init__(values.values())
        self.items = values.items


def job(rule: str, log: str, **wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(
        rule=SimpleNamespace(name=rule), wildcards=Wildcards(**wildcards), log=[log]
    )


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logs = LOGS.resolve() / "rule_generate/tiny_1_2"
    logs.mkdir(parents=True)
    Path("own.log").write_text("error: what, where\n")
    for number, name in enumerate(("9.log", "10.log")):
        (logs / name).touch()
        os.utime(logs / name, (number, number))


def test_each_has_its_cell_its_own_log_and_that_of_its_last_job_on_slurm() -> None:
    failed = [
        job("statistics", "never-written.log"),
        job("generate", "own.log", model="tiny", temperature="1", seed="2"),
    ]
    assert failures.summary(failed, 3, LOGS.resolve()).splitlines() == [
        "2 job(s) failed, 3 more did not start:",
        "  generate model tiny, temperature 1, seed 2: own.log, "
        ".snakemake/slurm_logs/rule_generate/tiny_1_2/10.log",
        "  statistics: no log",
        "What is finished is kept. The same command runs what is missing.",
    ]


def test_no_more_are_named_than_anybody_reads() -> None:
    failed = [job("generate", "", model=str(number)) for number in range(250)]
    lines = failures.summary(failed, 0, LOGS).splitlines()
    assert len(lines) == 1 + 100 + 1 + 1
    assert lines[-2] == "  ... and 150 more"


def test_an_empty_log_says_what_may_have_kept_the_job_from_writing_it() -> None:
    Path("own.log").write_text("")
    summary = failures.summary([job("judge", "own.log")], 0, None)
    assert "  judge: own.log (empty: the job was killed or the disk is full)\n" in summary
