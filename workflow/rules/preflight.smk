# Takes: the jobs of a run. Makes: sure, before the first of them, that what they need is there.
from refusal_stability.controller import slurm as slurm_queue
from refusal_stability.engine import hardware, multinode
from refusal_stability.api.budget import Budget
from refusal_stability.controller.check_providers import check_providers


def asked_apis(jobs):
    """The models and judges behind an API that jobs ask, by name."""
    asked = {
        "generate_without_gpu": lambda job: MODELS[job.wildcards.model],
        "generate_arm_without_gpu": lambda job: ARMS[job.wildcards.model],
        "judge_without_gpu": lambda job: JUDGES[job.wildcards.judge],
        "judge_arm_without_gpu": lambda job: JUDGES[job.wildcards.judge],
        "rejudge_without_gpu": lambda job: JUDGES[job.wildcards.judge],
        "judge_sample_without_gpu": lambda job: SAMPLE_JUDGES[job.wildcards.judge],
    }
    # In a module, rules have a prefix.
    entries = [
        asked[name](job)
        for job in jobs
        for name in asked
        if f"_{job.rule.name}".endswith(f"_{name}")
    ]
    return sorted(
        (entry for entry in entries if "model" in entry),
        key=lambda entry: entry["name"],
    )


# Snakemake keeps one such handler: all that is looked at beforehand stands here. It is left out of
# dry runs and of the jobs of a cluster.
onstart:
    jobs = [] if workflow.touch else list(workflow.dag.needrun_jobs())
    try:
        executor = workflow.scheduler._executor
        on_slurm = slurm_queue.is_slurm(executor)
        if on_slurm:
            slurm_queue.prepare(executor, config["run"])
        slurm_queue.check_queue(
            {job.rule.name for job in jobs}, config["run"], needed=on_slurm
        )
        # Elsewhere, a cluster gives its jobs their GPUs and nodes.
        if workflow.local_exec:
            hardware.check_machine(
                {job.rule.name for job in jobs if job.resources.get("gpu")}
            )
            multinode.check_machine(
                {job.rule.name for job in jobs if job.resources.get("mpi")}
            )
        check_providers(
            asked_apis(jobs),
            Budget(config.get("budget", {}).get("calls"), Path(CALLS)),
        )
    except RefusalStabilityError as error:
        sys.exit(f"error: {error}")
