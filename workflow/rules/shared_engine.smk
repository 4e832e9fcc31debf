# Takes: what `generate` and `judge` take. Makes: the same files, with one engine for all cells of a
# model, and one for all that a judge labels.
#
# The engine's job keeps what is finished in the run's folder `shared`, where a job that is started
# again finds it. The cell stays the unit: its own job links its files to their place, if it is to be
# made at all. Snakemake's services and groups would not do: when one of a group's jobs fails, it
# removes the files of all of them.
#
# A run of the engine's job has all its cells taken again, which is a link each. To spare the finished
# ones by ancient() is a trap: Snakemake does not look whether the settings of a job have changed when
# a job before it is to run, and ancient() then says that nothing came of that one.
SHARED_RESPONSES = f"{RUN}/shared/responses/{{model}}"
SHARED_VERDICTS = f"{RUN}/shared/verdicts/{{judge}}"
# A file a cell says that it is finished there; it goes where the folder goes.
GENERATED = f"{SHARED_RESPONSES}/{CELL_NAME}.generated"
JUDGED = f"{SHARED_VERDICTS}/{{model}}.judged"


localrules:
    take_cell,
    take_verdicts,


rule generate_model:
    """Generate all cells of a model that are not finished yet, with one engine."""
    input:
        unpack(
            by_model(
                lambda model: {
                    "weights": weights_files(model),
                    "fetched": fetched(model),
                }
            )
        ),
        prompts=PROMPTS,
    output:
        touch(
            expand(GENERATED, temperature=TEMPERATURES, seed=SEEDS, allow_missing=True)
        ),
    log:
        f"{RUN}/logs/generate_model/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/generate_model/{{model}}.tsv"
    conda:
        "../../envs/engine.yaml"
    resources:
        **GENERATION_RESOURCES,
    params:
        model=by_model(lambda model: settings(model_settings.job_settings(model))),
        version=versions.GENERATION,
        folder=SHARED_RESPONSES,
    message:
        "Generating {wildcards.model}: all cells"
    shell:
        launched(
            f"python {SCRIPTS}/generate_model.py" " --model {params.model:q}",
            MODELS,
        )
        + " --fetched {input.fetched:q}"
        f" {GRID}"
        " --prompts {input.prompts:q} --folder {params.folder:q}"
        f" --memory {RUN}/shared/checksums {SHARED_CACHE} > {{log:q}} 2>&1"


rule take_cell:
    """Take one cell's replies from where its model's engine left them."""
    input:
        unpack(
            by_model(
                lambda model: {
                    "weights": weights_files(model),
                    "fetched": fetched(model),
                }
            )
        ),
        prompts=PROMPTS,
        generated=GENERATED,
    output:
        responses=f"{CELL}.parquet",
        manifest=f"{CELL}.json",
    log:
        f"{RUN}/logs/take_cell/{{model}}/{CELL_NAME}.log",
    wildcard_constraints:
        model=names.pattern(MODELS, with_weights=True),
    conda:
        "../../envs/plan.yaml"
    params:
        model=by_model(lambda model: settings(model_settings.job_settings(model))),
        version=versions.GENERATION,
        kept=f"{SHARED_RESPONSES}/{CELL_NAME}.parquet",
    message:
        "Taking {wildcards.model} at T={wildcards.temperature}, seed {wildcards.seed}"
    shell:
        f"python {SCRIPTS}/take.py"
        " --kept {params.kept:q} --marker {input.generated:q}"
        " --output {output.responses:q} > {log:q} 2>&1"


rule judge_models:
    """Label every response of every model that is not labelled yet by one judge, with one engine."""
    input:
        prompts=PROMPTS,
        responses=expand(
            f"{CELL}.parquet", model=MODELS, temperature=TEMPERATURES, seed=SEEDS
        ),
        instructions=lambda wildcards: judge_settings.instructions_file(
            JUDGES[wildcards.judge]
        ),
        weights=lambda wildcards: weights_files(JUDGES[wildcards.judge]),
        fetched=lambda wildcards: fetched(JUDGES[wildcards.judge]),
    output:
        touch(expand(JUDGED, model=MODELS, allow_missing=True)),
    log:
        f"{RUN}/logs/judge_models/{{judge}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_models/{{judge}}.tsv"
    conda:
        "../../envs/engine.yaml"
    resources:
        **JUDGING_RESOURCES,
    params:
        judge=lambda wildcards: settings(
            judge_settings.job_settings(JUDGES[wildcards.judge])
        ),
        version=versions.JUDGING,
        folder=SHARED_VERDICTS,
    message:
        "Judging by {wildcards.judge}: all models"
    shell:
        launched(
            f"python {SCRIPTS}/judge_models.py" " --judge {params.judge:q}", JUDGES
        )
        + " --fetched {input.fetched:q} --prompts {input.prompts:q}"
        f" --responses {RUN}/responses --models {' '.join(MODELS)}"
        f" {GRID}"
        " --folder {params.folder:q}"
        f" --memory {RUN}/shared/checksums {SHARED_CACHE} > {{log:q}} 2>&1"


rule take_verdicts:
    """Take a judge's verdicts on one model from where its engine left them."""
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
        judged=JUDGED,
    output:
        verdicts=f"{VERDICTS}.parquet",
        manifest=f"{VERDICTS}.json",
    log:
        f"{RUN}/logs/take_verdicts/{{judge}}/{{model}}.log",
    wildcard_constraints:
        judge=names.pattern(JUDGES, with_weights=True),
    conda:
        "../../envs/plan.yaml"
    params:
        judge=lambda wildcards: settings(
            judge_settings.job_settings(JUDGES[wildcards.judge])
        ),
        version=versions.JUDGING,
        kept=f"{SHARED_VERDICTS}/{{model}}.parquet",
    message:
        "Taking the verdicts on {wildcards.model} by {wildcards.judge}"
    shell:
        f"python {SCRIPTS}/take.py"
        " --kept {params.kept:q} --marker {input.judged:q}"
        " --output {output.verdicts:q} > {log:q} 2>&1"
