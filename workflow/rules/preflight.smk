# Takes: the models and judges behind an API that have work to do. Makes: sure that they answer.
from refusal_stability.preflight import check_providers


def to_look_up(jobs):
    """The models and judges behind an API among what jobs ask, by name."""
    asked = {
        "generate_without_gpu": lambda job: MODELS[job.wildcards.model],
        "judge_without_gpu": lambda job: JUDGES[job.wildcards.judge],
    }
    entries = [asked[job.rule.name](job) for job in jobs if job.rule.name in asked]
    return sorted(
        (entry for entry in entries if "model" in entry),
        key=lambda entry: entry["name"],
    )


# Before the first job; not in a dry run, nor by the jobs of a cluster.
onstart:
    if not workflow.touch:
        try:
            check_providers(to_look_up(workflow.dag.needrun_jobs()))
        except RefusalStabilityError as error:
            sys.exit(f"error: {error}")
