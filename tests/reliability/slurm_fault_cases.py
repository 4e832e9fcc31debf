"""The faults of slurm_faults.py. Each does one to a run, and checks what Snakemake says of it."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from helpers.slurm_cluster import output_of
from reliability.slurm_run import Run, wait_until

_NODE = socket.gethostname().partition(".")[0]


def cancelled(run: Run) -> None:
    """A job is taken out with scancel; what does not need it is finished, and it is named."""
    run.start()
    job = run.running()
    output_of("scancel", job)
    _failed(run, job, "CANCELLED")


def out_of_time(run: Run) -> None:
    """A job hangs until its minute is over."""
    run.set_profile("runtime", 1)
    run.start()
    job = run.running()
    _hang(run)
    _failed(run, job, "TIMEOUT")


def out_of_memory(run: Run) -> None:
    """A job has too little memory."""
    run.set_profile("mem_mb", run.stage.little_memory)
    run.start()
    wait_until("a job is in the queue", run.queue)
    (job,) = [job for job, (_, comment) in run.queue().items() if run.stage.rule in comment]
    # Without cgroups, Slurm kills the step of the job, which may then fail before it is told why.
    _failed(run, job, "OUT_OF_MEMORY", "FAILED", has_log=False)
    (log,) = (run.workspace.folder / ".snakemake/slurm_logs").rglob(f"{job}.log")
    assert "memory" in log.read_text(encoding="utf-8"), log.read_text(encoding="utf-8")
    run.set_profile("mem_mb", 4000)


def node_down(run: Run) -> None:
    """The node of running jobs is set down, and comes back."""
    run.start()
    job = run.running()
    output_of("scontrol", "update", f"NodeName={_NODE}", "State=DOWN", "Reason=fault")
    time.sleep(20)
    # It may have come back by itself.
    command = ["scontrol", "update", f"NodeName={_NODE}", "State=RESUME"]
    subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    _starts_again(run, job)


def preempted(run: Run) -> None:
    """A job that is more urgent takes the place of running ones, and ends."""
    run.start()
    job = run.running()
    output_of("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    _starts_again(run, job)


def slurmctld_restarted(run: Run) -> None:
    """Slurm's controller is killed, and started again after half a minute."""
    run.start()
    run.running()
    os.kill(int((run.cluster / "slurmctld.pid").read_text()), signal.SIGKILL)
    time.sleep(30)
    subprocess.run(["slurmctld"], check=True)
    run.ends()


def controller_killed_then_waited(run: Run) -> None:
    """Snakemake is killed; its jobs go on, and it refuses to start them again while they do."""
    pids = _kill_controller(run)
    run.is_refused()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_until("the queue is empty", lambda: not run.queue())


def controller_killed_then_cancelled(run: Run) -> None:
    """Snakemake is killed; its jobs are taken out, as it says."""
    _kill_controller(run)
    output_of("scancel", *run.is_refused())
    wait_until("the queue is empty", lambda: not run.queue())


def controller_killed_while_submitting(run: Run) -> None:
    """Snakemake is killed as it hands a job to Slurm: it does not know that job's number."""
    with _partition_down(run):
        run.start()
        wait_until("a job is in the queue", run.queue)
        run.send(signal.SIGKILL)
        run.ends()
        run.unlock()
        assert run.is_refused()
    wait_until("the queue is empty", lambda: not run.queue())


def never_starts(run: Run) -> None:
    """A partition is down: jobs wait, squeue says why, and Ctrl-C takes them out."""
    with _partition_down(run):
        run.start()
        wait_until("a job is in the queue", run.queue)
        time.sleep(25)
        assert {state for state, _ in run.queue().values()} == {"PENDING"}
        reasons = set(output_of("squeue", "--noheader", "--format=%R").split())
        assert reasons == {"(PartitionDown)"}, reasons
        run.send(signal.SIGINT)
        run.ends()
        assert not run.queue(), "Ctrl-C left jobs in the queue"


def too_much_asked_for(run: Run) -> None:
    """No node has so much memory: Slurm refuses, and says so."""
    run.set_profile("mem_mb", 2_000_000)
    run.start()
    assert run.ends() == 1
    run.prints(
        "sbatch: error:",
        "Requested node configuration is not available",
        f"1 job(s) failed, {run.stage.waiting} more did not start",
        run.stage.name,
    )
    run.set_profile("mem_mb", 4000)


FAULTS: dict[str, Callable[[Run], None]] = {
    fault.__name__: fault
    for fault in (
        cancelled,
        out_of_time,
        out_of_memory,
        node_down,
        preempted,
        slurmctld_restarted,
        controller_killed_then_waited,
        controller_killed_then_cancelled,
        controller_killed_while_submitting,
        never_starts,
        too_much_asked_for,
    )
}


def _failed(run: Run, job: str, *states: str, has_log: bool = True) -> None:
    """The run goes on without a job that failed, and names it and its logs at its end."""
    assert run.ends() == 1, "a failed job did not fail the run"
    state = run.state(job).partition(" ")[0]
    assert state in states, f"the job's state is {state}"
    first = f"1 job(s) failed, {run.stage.waiting} more did not start:"
    run.prints(first, f"SLURM status is: '{state}'")
    end = run.printed()[run.printed().rindex(first) :]
    line = re.search(f"{run.stage.name}: (.*)", end)
    assert line, "the job is not named"
    logs = line[1].split(", ")
    # Its own, unless it never came to open one, and Slurm's.
    assert len(logs) == 2 or not has_log, logs
    for log in logs:
        name = log.removesuffix(" (empty: the job was killed or the disk is full)")
        assert (run.workspace.folder / name).is_file(), log
    assert not (run.workspace.run / run.stage.makes).exists()
    assert (run.workspace.run / run.stage.beside).exists(), "what needs no failed job is missing"


@contextmanager
def _partition_down(run: Run) -> Iterator[None]:
    partition = f"PartitionName={run.stage.partition}"
    output_of("scontrol", "update", partition, "State=DOWN")
    try:
        yield
    finally:
        output_of("scontrol", "update", partition, "State=UP")


def _hang(run: Run) -> list[int]:
    """Stop the script of the job, as a GPU that no longer answers does; return its processes."""
    pids: list[int] = []

    def found() -> bool:
        pattern = f"{run.stage.rule}.py .*--output [^ ]*{run.stage.makes}"
        command = ["pgrep", "--full", pattern]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        pids[:] = map(int, result.stdout.split())
        return bool(pids)

    wait_until("the script of the job runs", found)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def _starts_again(run: Run, job: str) -> None:
    """Slurm starts a job again by itself, and Snakemake goes on to the end."""
    assert run.ends() == 0, "a job that starts again failed the run"
    lines = output_of(
        "sacct",
        "--duplicates",
        "--noheader",
        "--allocations",
        "--parsable2",
        f"--jobs={job}",
        "--format=State",
    ).splitlines()
    assert len(lines) == 2, lines
    assert lines[1] == "COMPLETED", lines


def _kill_controller(run: Run) -> list[int]:
    """Kill Snakemake while a job runs, which hangs until its processes, returned, go on."""
    run.start()
    run.running()
    pids = _hang(run)
    run.send(signal.SIGKILL)
    run.ends()
    run.unlock()
    return pids
