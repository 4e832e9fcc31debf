"""The last lines of a run that failed: which jobs it was, and where their logs are."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

# Of the failed jobs, so many are named.
_NAMED = 100


def summary(failed: Collection[Any], waiting: int, slurm_logs: Path | None) -> str:
    """Return a line for each failed job: its rule, its wildcards and its logs.

    Args:
        failed: Snakemake's jobs.
        waiting: how many others were not started: they need what failed, or the run ended before.
        slurm_logs: the folder of those that Slurm keeps, if it ran them.
    """
    # Of a group of jobs, which is submitted as one, each.
    failed = [one for job in failed for one in getattr(job, "jobs", [job])]
    lines = sorted(_line(job, slurm_logs) for job in failed)
    left_out = len(lines) - _NAMED
    if left_out > 0:
        lines[_NAMED:] = [f"  ... and {left_out} more"]
    return "\n".join(
        [
            f"{len(failed)} job(s) failed, {waiting} more did not start:",
            *lines,
            "What is finished is kept. The same command runs what is missing.",
        ]
    )


def _line(job: Any, slurm_logs: Path | None) -> str:
    cell = ", ".join(f"{name} {value}" for name, value in job.wildcards.items())
    # A job that never began has no log of its own; Slurm keeps one of each that failed.
    logs = [f"{log}{_if_empty(log)}" for log in map(str, job.log) if Path(log).is_file()]
    if slurm_logs:
        of_job = f"rule_{job.rule.name}/{'_'.join(job.wildcards).replace('/', '_')}/*.log"
        found = sorted(slurm_logs.glob(of_job), key=lambda log: log.stat().st_mtime)
        logs += [os.path.relpath(log) for log in found[-1:]]
    return f"  {job.rule.name} {cell}".rstrip() + f": {', '.join(logs) or 'no log'}"


def _if_empty(log: str) -> str:
    # Scripts say what went wrong, if they live and find room for it.
    return "" if Path(log).stat().st_size else " (empty: the job was killed or the disk is full)"
