# Takes: a run of which jobs failed. Makes: its last lines, which say which and where their logs are.
from snakemake.logging import logger

from refusal_stability.controller import failures
from refusal_stability.controller import slurm as slurm_queue


onerror:
    failed = workflow.scheduler.failed
    if failed:
        # A target makes nothing.
        waiting = sum(bool(job.output) for job in workflow.scheduler.remaining_jobs)
        executor = workflow.scheduler._executor
        logs = executor.slurm_logdir if slurm_queue.is_slurm(executor) else None
        logger.error(failures.summary(failed, waiting, logs))
