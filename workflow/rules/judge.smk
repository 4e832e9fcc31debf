# Takes: all cells of a model. Makes: one judge's verdicts on them and their manifest.
from refusal_stability import judge_settings, names

# What a job with a judge's engine takes.
JUDGING_RESOURCES = {
    "gpu": lambda wildcards: JUDGES[wildcards.judge]["gpus"]
    * JUDGES[wildcards.judge]["nodes"],
    # On Slurm: one process on one node has all of them. The default is a task a GPU,
    # each with all the cores, on any nodes.
    "nodes": lambda wildcards: JUDGES[wildcards.judge]["nodes"],
    "tasks_per_gpu": 0,
    # Over several nodes, a process on each; srun starts them, and not the executor.
    "tasks": lambda wildcards: over_nodes(
        JUDGES[wildcards.judge], JUDGES[wildcards.judge]["nodes"]
    ),
    "mpi": lambda wildcards: over_nodes(JUDGES[wildcards.judge], "srun"),
    "launcher": launcher(JUDGES, "judge"),
}


rule judge:
    """Label every response of one model by one judge with weights of its own."""
    input:
        prompts=PROMPTS,
        responses=expand(
            f"{CELL}.parquet",
            temperature=TEMPERATURES,
            seed=SEEDS,
            allow_missing=True,
        ),
        instructions=lambda wildcards: judge_settings.instructions_file(
            JUDGES[wildcards.judge]
        ),
        weights=lambda wildcards: weights_files(JUDGES[wildcards.judge]),
        fetched=lambda wildcards: fetched(JUDGES[wildcards.judge]),
    output:
        verdicts=f"{VERDICTS}.parquet",
        manifest=f"{VERDICTS}.json",
    log:
        f"{RUN}/logs/judge/{{judge}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge/{{judge}}/{{model}}.tsv"
    wildcard_constraints:
        judge=names.pattern({} if SHARED else JUDGES, with_weights=True),
    conda:
        "../../envs/judge.yaml"
    resources:
        **JUDGING_RESOURCES,
    params:
        judge=lambda wildcards: settings(judge_settings.told(JUDGES[wildcards.judge])),
        version=versions.JUDGING,
    message:
        "Judging {wildcards.model} by {wildcards.judge}"
    shell:
        launched("python workflow/scripts/judge.py --judge {params.judge:q}", JUDGES)
        + " --fetched {input.fetched:q}"
        " --prompts {input.prompts:q}"
        f" --responses {RUN}/responses/{{wildcards.model}} {GRID}"
        f" --cache {RUN}/cache/verdicts/{{wildcards.judge}}/{{wildcards.model}}.jsonl"
        f" {SHARED_CACHE}"
        " --output {output.verdicts:q} --manifest {output.manifest:q} > {log:q} 2>&1"


use rule judge as judge_without_gpu with:
    input:
        prompts=PROMPTS,
        responses=expand(
            f"{CELL}.parquet",
            temperature=TEMPERATURES,
            seed=SEEDS,
            allow_missing=True,
        ),
        instructions=lambda wildcards: judge_settings.instructions_file(
            JUDGES[wildcards.judge]
        ),
        fetched=[],
    wildcard_constraints:
        judge=names.pattern(JUDGES, with_weights=False),
    conda:
        "../../envs/judge_without_gpu.yaml"
    resources:
        gpu=0,
        launcher="",
        api=lambda wildcards: int("model" in JUDGES[wildcards.judge]),
    params:
        judge=lambda wildcards: json.dumps(
            judge_settings.told(JUDGES[wildcards.judge]), sort_keys=True
        ),
        version=versions.JUDGING,
