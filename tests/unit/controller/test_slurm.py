"""Jobs of a run that Slurm has already. The real queue is asked in tests/workflow."""

import asyncio
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from refusal_stability.controller import slurm
from refusal_stability.core.errors import InputError

RUN_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
SUFFIX = slurm.job_suffix("study")
FOLDER = Path("/scratch/my|study")


def line(
    job: str = "7",
    name: str = f"{RUN_ID}_{SUFFIX}",
    comment: str = "rule_generate_wildcards_tiny-llama_1_2",
    folder: object = FOLDER,
) -> str:
    return f"{job}|{name}|{comment}|{folder}\n"


def found(listed: str, *, unknown: bool = True) -> list[str]:
    rules = {"generate", "statistics"}
    return slurm._of_run(listed, rules, SUFFIX, FOLDER, unknown=unknown)


@pytest.mark.parametrize(
    "listed",
    [
        line(),
        line(comment="rule_statistics"),
        # With a prefix of the user: slurm-jobname-prefix in the profile.
        line(name=f"mine_{RUN_ID}_{SUFFIX}"),
        # A site may write comments of its own: better once too often than never.
        line(comment="(null)"),
    ],
)
def test_jobs_of_the_same_rules_run_and_folder_are_found(listed: str) -> None:
    assert found(listed) == ["7"]


@pytest.mark.parametrize(
    "listed",
    [
        "",
        line(folder="/scratch/other"),
        *(
            line(name=f"{RUN_ID}_{slurm.job_suffix(run)}")
            for run in ("other", "study2", "study_small", "small_study", "study.")
        ),
        # What other people's jobs may look like.
        "7|a name\nof two lines|rule_generate",
        # The job that Snakemake itself runs in.
        line(name="study", comment=""),
        # Of another rule, whose name begins with that of one of these.
        line(comment="rule_generate_arm_wildcards_tiny-llama_1_2"),
        line(comment="rule_judge_wildcards_judge_tiny-llama"),
    ],
)
def test_other_jobs_are_not(listed: str) -> None:
    assert found(listed) == []


def test_a_comment_of_the_sites_own_stops_jobs_for_slurm_only() -> None:
    assert found(line(comment="(null)"), unknown=False) == []
    assert found(line(), unknown=False) == ["7"]


def test_all_are_named_with_those_of_an_array() -> None:
    assert found(line("7") + line("8_[3-9]") + line("9", name="wrap")) == ["7", "8_[3-9]"]


def test_the_name_of_a_run_becomes_one_that_the_executor_takes() -> None:
    assert re.fullmatch(r"my_study-1_a_[0-9a-f]{8}", slurm.job_suffix("my.study-1_a"))
    assert slurm.job_suffix("a.b") != slurm.job_suffix("a_b")
    assert len(slurm.job_suffix("x" * 80)) == 49


@pytest.mark.parametrize("requeue", [True, False])
def test_jobs_bear_the_name_of_the_run_and_their_states_are_read(requeue: bool) -> None:
    workflow = SimpleNamespace(executor_settings=SimpleNamespace(requeue=requeue))
    members = {"run_uuid": RUN_ID, "workflow": workflow, "__module__": "plugin_for_test"}

    async def ask(command: str) -> tuple[dict[str, str] | None, float | None]:
        if command == "no answer":
            return None, 0.1
        return {"1": "CANCELLED by 0", "2": "RUNNING", "3": "NODE_FAIL"}, 0.1

    plugin = SimpleNamespace(query_job_status=ask)
    sys.modules["plugin_for_test"] = plugin
    executor = type("Executor", (), members)()
    slurm.prepare(executor, "my.study")
    del sys.modules["plugin_for_test"]
    assert executor.run_uuid == f"{RUN_ID}_{slurm.job_suffix('my.study')}"
    states, _ = asyncio.run(plugin.query_job_status("sacct"))
    third = "PENDING" if requeue else "NODE_FAIL"
    assert states == {"1": "CANCELLED", "2": "RUNNING", "3": third}
    assert asyncio.run(plugin.query_job_status("no answer")) == (None, 0.1)


def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (tmp_path / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_a_slurm_that_does_not_answer_stops_its_own_jobs_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue(tmp_path, monkeypatch, "echo 'slurm_load_jobs error: no contact' >&2; exit 1")
    slurm.check_queue({"generate"}, "study", needed=False)
    with pytest.raises(InputError, match=r"squeue does not say .*: slurm_load_jobs error: no con"):
        slurm.check_queue({"generate"}, "study", needed=True)


def test_without_slurm_or_without_jobs_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm.check_queue({"generate"}, "study", needed=True)
    squeue(tmp_path, monkeypatch, "exit 1")
    slurm.check_queue(set(), "study", needed=True)
