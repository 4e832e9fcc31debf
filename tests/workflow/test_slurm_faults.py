"""What happens on a cluster, on a real Slurm; all of it is in tests/reliability/slurm_faults.py."""

import signal

import pytest

from helpers.slurm_cluster import output_of, slurm_cluster
from helpers.workspace import Workspace, tables
from reliability.slurm_run import STAGES, Run, wait_until


def test_a_killed_snakemake_starts_no_job_twice_and_a_cancelled_job_is_named(
    finished: Workspace, finished_copy: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = STAGES["stability"]
    for part in stage.lacks:
        for path in finished_copy.run.glob(part):
            path.unlink()
    cluster = tmp_path_factory.mktemp("slurm")
    with slurm_cluster(cluster):
        run = Run(finished_copy, cluster, stage)
        try:
            # Jobs wait, to be done something to.
            output_of("scontrol", "update", "PartitionName=cpu", "State=DOWN")
            killed(run)
            cancelled(run)
            output_of("scontrol", "update", "PartitionName=cpu", "State=UP")
            run.succeeds()
        finally:
            run.end()
    assert tables(finished_copy.run) == tables(finished.run)


def start(run: Run) -> list[str]:
    """Start Snakemake; return the names of the judges, each of which has a job in the queue."""
    judges = [judge["name"] for judge in run.workspace.read_config()["judges"]]
    run.start()
    wait_until("jobs are in the queue", lambda: len(run.queue()) == len(judges))
    return judges


def killed(run: Run) -> None:
    start(run)
    run.send(signal.SIGKILL)
    run.ends()
    run.unlock()
    jobs = run.is_refused()
    assert jobs == sorted(run.queue())
    output_of("scancel", *jobs)
    wait_until("the queue is empty", lambda: not run.queue())


def cancelled(run: Run) -> None:
    judges = start(run)
    output_of("scancel", *run.queue())
    assert run.ends() == 1
    run.prints("SLURM status is: 'CANCELLED'")
    end = run.printed().rpartition("job(s) failed, ")[2]
    for judge in judges:
        assert f"  stability judge {judge}: " in end
