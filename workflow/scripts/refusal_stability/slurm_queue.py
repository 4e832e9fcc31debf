"""Which jobs of a run Slurm has already, of a Snakemake that was killed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from refusal_stability.errors import InputError

# Of the jobs in the queue, so many are named.
_NAMED = 10
# Seconds; a busy controller of Slurm may take many. What runs here does not wait for it.
_PATIENCE, _PATIENCE_HERE = 120, 10
_FIELDS = "%i|%j|%k|%Z"


def job_prefix(run: str) -> str:
    """Return what the names of a run's jobs begin with: at most 50 letters, digits, _ and -."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", run)[:50]


def prepare(executor: Any, run: str) -> None:
    """Give jobs the name of their run, and mend how the plugin, 2.6 to 2.8, reads their states.

    Args:
        executor: Snakemake's for Slurm, before its first job.
        run: the name of the run.
    """
    executor.run_uuid = f"{job_prefix(run)}_{executor.run_uuid}"
    plugin = sys.modules[type(executor).__module__]
    ask = plugin.query_job_status

    requeues = executor.workflow.executor_settings.requeue

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
    there = _of_run(listed, rules, job_prefix(run), Path.cwd())
    if there:
        ids = " ".join(there[:_NAMED]) + " ..." * (len(there) > _NAMED)
        raise InputError(
            f"{len(there)} job(s) of this run are in Slurm's queue already, of a snakemake that "
            f"was killed or still runs: {ids}. Hint: wait until squeue no longer shows them, or "
            "take them out with scancel; then give the same command again"
        )


def _of_run(listed: str, rules: set[str], prefix: str, folder: Path) -> list[str]:
    """Return the ids of a run's jobs in what squeue printed."""
    # What the executor calls a run of Snakemake, behind a prefix of the user if he gave one.
    name = re.compile(rf"{re.escape(prefix)}_(.+_)?[0-9a-f]{{8}}-[0-9a-f-]{{27}}")
    found = []
    for line in listed.splitlines():
        # A folder may have any character in its name.
        job, job_name, comment, its_folder = line.split("|", 3)
        # The comment is rule_<rule>_wildcards_<...>, unless a site writes its own.
        rule = re.fullmatch(r"rule_(\w+?)(_wildcards_.*)?", comment)
        if (
            name.fullmatch(job_name)
            and Path(its_folder) == folder
            and (rule is None or rule[1] in rules)
        ):
            found.append(job)
    return found
