# Takes: all cells of a model. Makes: one judge's verdicts on them and their manifest.
from refusal_stability.core import names
from refusal_stability.settings import judges as judge_settings

# What a job with a judge's engine takes.
JUDGING_RESOURCES = engine_resources(JUDGES, "judge")


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
        "../../envs/engine.yaml"
    resources:
        **JUDGING_RESOURCES,
    params:
        judge=lambda wildcards: settings(
            judge_settings.job_settings(JUDGES[wildcards.judge])
        ),
        version=versions.JUDGING,
    message:
        "Judging {wildcards.model} by {wildcards.judge}"
    shell:
        judge_command(f"{RUN}/responses/{{wildcards.model}}", GRID)


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
            judge_settings.job_settings(JUDGES[wildcards.judge]), sort_keys=True
        ),
        version=versions.JUDGING,
