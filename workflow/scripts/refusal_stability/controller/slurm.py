"""Which jobs of a run Slurm has already, of a Snakemake that was killed."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from refusal_stability.core.errors import InputError

# Of the jobs in the queue, so many are named.
_NAMED = 10
# Seconds; a busy controller of Slurm may take many. What runs here does not wait for it.
_PATIENCE, _PATIENCE_HERE = 120, 10
_FIELDS = "%i|%j|%k|%Z"


def is_slurm(executor: Any) -> bool:
    """Tell whether Snakemake's executor gives its jobs to Slurm."""
    return type(executor).__module__ == "snakemake_executor_plugin_slurm"


def job_suffix(run: str) -> str:
    """Return what the names of a run's jobs end with: at most 49 letters, digits, _ and -."""
    # Names that are alike but for other characters, or but for their ends, are told apart.
    return (
        f"{re.sub(r'[^A-Za-z0-9_-]', '_', run)[:40]}_{hashlib.sha256(run.encode()).hexdigest()[:8]}"
    )


def prepare(executor: Any, run: str) -> None:
    """Give jobs the name of their run, and mend how the plugin, 2.6 to 2.8, reads their states.

    Args:
        executor: Snakemake's for Slurm, before its first job.
        run: the name of the run.
    """
    executor.run_uuid = f"{executor.run_uuid}_{job_suffix(run)}"
    plugin = sys.modules[type(executor).__module__]
    ask = getattr(plugin, "query_job_status", None)
    if ask is None:
        # Of another version, which may need no mending.
        return
    requeues = getattr(executor.workflow.executor_settings, "requeue", False)

    def read(state: str) -> str:
        # sacct says by whom: "CANCELLED by 1000". That would be taken for a job that still runs.
        state = state.partition(" ")[0]
        # Slurm starts it again. Its node, "None assigned" by then, would become part of sbatch.
        return "PENDING" if state == "NODE_FAIL" and requeues else state

    async def query_job_status(*arguments: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask(*arguments)
        return states and {job: read(state) for job, state in states.items()}, seconds

    plugin.query_job_status = query_job_status


def check_queue(rules: set[str], run: str, *, needed: bool) -> None:
    """Look whether jobs of the same rules, run and folder are in Slurm's queue already.

    Two jobs would make the same file at once. A machine without Slurm has none.

    Args:
        rules: the rules whose jobs are about to start.
        run: the name of the run.
        needed: whether Slurm must answer, since the jobs are for it.

    Raises:
        InputError: there are such jobs, or Slurm does not answer.
    """
    if not rules or shutil.which("squeue") is None:
        return
    try:
        listed = subprocess.run(
            ["squeue", "--noheader", f"--format={_FIELDS}"],
            capture_output=True,
            text=True,
            # Other people's jobs may bear any name.
            errors="replace",
            check=True,
            timeout=_PATIENCE if needed else _PATIENCE_HERE,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        if not needed:
            return
        said = str(getattr(error, "stderr", None) or error)
        raise InputError(
            f"squeue does not say which jobs are in the queue: {said.strip()}. Hint: nothing was "
            "submitted; give the same command again when Slurm answers"
        ) from None
    there = _of_run(listed, rules, job_suffix(run), Path.cwd(), unknown=needed)
    if there:
        ids = " ".join(there[:_NAMED]) + " ..." * (len(there) > _NAMED)
        raise InputError(
            f"{len(there)} job(s) of this run are in Slurm's queue already, of a snakemake that "
            f"was killed or still runs: {ids}. Hint: wait until squeue no longer shows them, or "
            "take them out with scancel; then give the same command again"
        )


def _of_run(listed: str, rules: set[str], suffix: str, folder: Path, *, unknown: bool) -> list[str]:
    """Return the ids of a run's jobs in what squeue printed.

    Those whose rule the comment does not tell count if ``unknown``.
    """
    # What the executor calls a run of Snakemake, behind a prefix of the user if he gave one.
    name = re.compile(rf"(.+_)?[0-9a-f]{{8}}-[0-9a-f-]{{27}}_{re.escape(suffix)}")
    found = []
    for line in listed.split("\n"):
        # A folder may have any character in its name.
        fields = line.split("|", 3)
        if len(fields) < 4:
            continue
        job, job_name, comment, its_folder = fields
        # The comment is rule_<rule>_wildcards_<...>, unless a site writes its own, or of a group.
        rule = re.fullmatch(r"rule_(\w+?)(_wildcards_.*)?", comment)
        of_rule = rule[1] in rules if rule else unknown
        if name.fullmatch(job_name) and Path(its_folder) == folder and of_rule:
            found.append(job)
    return found
