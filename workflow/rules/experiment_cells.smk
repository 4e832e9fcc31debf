# Takes: what `generate` and `judge` take, and the prompts of an experiment. Makes: the same files, of
# the cells that experiments have registered in EXPERIMENT_CELLS, in the experiment's own folder.
#
# What the run's cells have been asked comes from the cache, and the other way round: a model with the
# same settings gives the same prompt the same reply at the same seed.
from refusal_stability.core import names
from refusal_stability.settings import judges as judge_settings
from refusal_stability.settings import models as model_settings

# By name: the models of the run, and the arms that experiments derive from them.
ARMS = MODELS | {
    name: entry
    for cells in EXPERIMENT_CELLS.values()
    for name, entry in cells.models.items()
}
EXPERIMENTS_WITH_CELLS = "|".join(EXPERIMENT_CELLS) or "(?!)"
EVERY_ARM = "|".join(map(re.escape, ARMS))
EXPERIMENT = f"{EXPERIMENTS}/{{experiment}}"
ARM_CELL = f"{EXPERIMENT}/responses/{{model}}/{CELL_NAME}"
ARM_VERDICTS = f"{EXPERIMENT}/verdicts/{{judge}}/{{model}}"


rule generate_arm:
    """Generate a cell of an experiment: its own prompts, or another arm of a model."""
    input:
        prompts=arm_prompts,
        weights=lambda wildcards: weights_files(ARMS[wildcards.model]),
        fetched=lambda wildcards: fetched(ARMS[wildcards.model]),
    output:
        responses=f"{ARM_CELL}.parquet",
        manifest=f"{ARM_CELL}.json",
    log:
        f"{RUN}/logs/experiments/{{experiment}}/generate/{{model}}/{CELL_NAME}.log",
    benchmark:
        f"{EXPERIMENT}/benchmarks/generate/{{model}}/{CELL_NAME}.tsv"
    wildcard_constraints:
        experiment=EXPERIMENTS_WITH_CELLS,
        model=names.pattern(ARMS, with_weights=True),
        # Those of the experiment, which the run need not have.
        temperature=r"[\d.]+",
        seed=r"\d+",
    conda:
        "../../envs/engine.yaml"
    resources:
        **engine_resources(ARMS, "model"),
    params:
        model=lambda wildcards: settings(
            model_settings.job_settings(ARMS[wildcards.model])
        ),
        version=versions.GENERATION,
    message:
        "Generating {wildcards.model} at T={wildcards.temperature}, seed {wildcards.seed}, for {wildcards.experiment}"
    shell:
        generate_command("{input.prompts:q}", ARMS)


use rule generate_arm as generate_arm_without_gpu with:
    input:
        prompts=arm_prompts,
        fetched=[],
    wildcard_constraints:
        experiment=EXPERIMENTS_WITH_CELLS,
        model=names.pattern(ARMS, with_weights=False),
        temperature=r"[\d.]+",
        seed=r"\d+",
    conda:
        "../../envs/generate_without_gpu.yaml"
    resources:
        gpu=0,
        launcher="",
        api=1,
    params:
        model=lambda wildcards: json.dumps(ARMS[wildcards.model], sort_keys=True),
        version=versions.GENERATION,


rule judge_arm:
    """Label every response of an experiment's model by one judge with weights of its own."""
    input:
        prompts=arm_prompts,
        responses=arm_responses,
        instructions=lambda wildcards: judge_settings.instructions_file(
            JUDGES[wildcards.judge]
        ),
        weights=lambda wildcards: weights_files(JUDGES[wildcards.judge]),
        fetched=lambda wildcards: fetched(JUDGES[wildcards.judge]),
    output:
        verdicts=f"{ARM_VERDICTS}.parquet",
        manifest=f"{ARM_VERDICTS}.json",
    log:
        f"{RUN}/logs/experiments/{{experiment}}/judge/{{judge}}/{{model}}.log",
    benchmark:
        f"{EXPERIMENT}/benchmarks/judge/{{judge}}/{{model}}.tsv"
    wildcard_constraints:
        experiment=EXPERIMENTS_WITH_CELLS,
        model=EVERY_ARM,
        judge=names.pattern(JUDGES, with_weights=True),
    conda:
        "../../envs/engine.yaml"
    resources:
        **engine_resources(JUDGES, "judge"),
    params:
        judge=lambda wildcards: settings(
            judge_settings.job_settings(JUDGES[wildcards.judge])
        ),
        version=versions.JUDGING,
        grid=arm_grid,
        responses=f"{EXPERIMENT}/responses/{{model}}",
    message:
        "Judging {wildcards.model} by {wildcards.judge}, for {wildcards.experiment}"
    shell:
        judge_command("{params.responses}", "{params.grid}")


use rule judge_arm as judge_arm_without_gpu with:
    input:
        prompts=arm_prompts,
        responses=arm_responses,
        instructions=lambda wildcards: judge_settings.instructions_file(
            JUDGES[wildcards.judge]
        ),
        fetched=[],
    wildcard_constraints:
        experiment=EXPERIMENTS_WITH_CELLS,
        model=EVERY_ARM,
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
        grid=arm_grid,
        responses=f"{EXPERIMENT}/responses/{{model}}",
