# Takes: prompts and a model's weights. Makes: the experiment `determinism`, on jobs of its own: what
# is repeated on purpose comes from no cache.
from refusal_stability.settings import models as model_settings

DETERMINISM_SETTINGS = config["experiments"]["determinism"]
DETERMINISM_MODEL = experiment_settings.determinism_model(config)
# One entry a way of running the engine. A user's name has no plus.
DETERMINISM_ARMS = {}
if DETERMINISM_MODEL:
    DETERMINISM_ARMS = {
        f"{DETERMINISM_MODEL['name']}+{mode}": {
            **DETERMINISM_MODEL,
            "determinism": mode,
        }
        for mode in model_settings.MODES
    }
DETERMINISM_SEEDS = DETERMINISM_SETTINGS.get("seeds", SEEDS)
DETERMINISM_PROBLEM = ""
if not DETERMINISM_ARMS:
    DETERMINISM_PROBLEM = (
        "determinism takes a model with weights of its own, and this configuration has none. Hint:"
        " add one"
    )
elif len(DETERMINISM_SEEDS) < 2:
    DETERMINISM_PROBLEM = (
        "determinism asks every prompt once a seed, and this run has one. Hint: give"
        " experiments.determinism.seeds two or more, such as [1, 2, 3, 4, 5]"
    )
DETERMINISM = f"{EXPERIMENTS}/determinism"
# What the judge labels; it finds equal replies in the cache, so that a flip is one of the reply.
DETERMINISM_PROMPTS = f"{DETERMINISM}/prompts.parquet"
EXPERIMENT_CELLS["determinism"] = ExperimentCells(
    DETERMINISM_ARMS, DETERMINISM_PROMPTS, ["0"], DETERMINISM_SEEDS
)


localrules:
    determinism_prompts,
    determinism,


# Of the cells that an experiment may have, these have a rule of their own.
ruleorder: determinism_passes > generate_arm


use rule pilot_prompts as determinism_prompts with:
    output:
        DETERMINISM_PROMPTS,
    log:
        f"{RUN}/logs/experiments/determinism_prompts.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        number=DETERMINISM_SETTINGS["prompts"],
        seed=DRAW,
    message:
        "Drawing the prompts of determinism"


rule determinism_test:
    """Say whether a way of running the engine is there, and gives equal requests equal replies."""
    input:
        prompts=DETERMINISM_PROMPTS,
        weights=lambda wildcards: weights_files(DETERMINISM_ARMS[wildcards.model]),
        fetched=lambda wildcards: fetched(DETERMINISM_ARMS[wildcards.model]),
    output:
        f"{DETERMINISM}/tests/{{model}}.json",
    log:
        f"{RUN}/logs/experiments/determinism/test/{{model}}.log",
    wildcard_constraints:
        model=names.pattern(DETERMINISM_ARMS, with_weights=True),
    conda:
        "../../envs/engine.yaml"
    resources:
        **engine_resources(DETERMINISM_ARMS, "model"),
    params:
        model=lambda wildcards: settings(
            model_settings.job_settings(DETERMINISM_ARMS[wildcards.model])
        ),
        version=versions.GENERATION,
    message:
        "Testing {wildcards.model}"
    shell:
        launched(
            f"python {SCRIPTS}/determinism_test.py" " --model {params.model:q}",
            DETERMINISM_ARMS,
        )
        + " --fetched {input.fetched:q} --prompts {input.prompts:q}"
        " --output {output:q} > {log:q} 2>&1"


rule determinism_passes:
    """Ask every prompt once a seed at temperature 0, one pass after another, in one engine."""
    input:
        prompts=DETERMINISM_PROMPTS,
        weights=lambda wildcards: weights_files(DETERMINISM_ARMS[wildcards.model]),
        fetched=lambda wildcards: fetched(DETERMINISM_ARMS[wildcards.model]),
        test=f"{DETERMINISM}/tests/{{model}}.json",
    output:
        responses=expand(
            f"{DETERMINISM}/responses/{{model}}/{cell_name(0, '{seed}')}.parquet",
            seed=DETERMINISM_SEEDS,
            allow_missing=True,
        ),
        passes=f"{DETERMINISM}/passes/{{model}}.parquet",
        manifest=f"{DETERMINISM}/passes/{{model}}.json",
    log:
        f"{RUN}/logs/experiments/determinism/passes/{{model}}.log",
    benchmark:
        f"{DETERMINISM}/benchmarks/passes/{{model}}.tsv"
    wildcard_constraints:
        model=names.pattern(DETERMINISM_ARMS, with_weights=True),
    conda:
        "../../envs/engine.yaml"
    resources:
        **engine_resources(DETERMINISM_ARMS, "model"),
    params:
        model=lambda wildcards: settings(
            model_settings.job_settings(DETERMINISM_ARMS[wildcards.model])
        ),
        version=versions.GENERATION,
        seeds=DETERMINISM_SEEDS,
        folder=f"{DETERMINISM}/responses/{{model}}",
    message:
        "Asking {wildcards.model} again and again"
    shell:
        launched(
            f"python {SCRIPTS}/determinism_passes.py" " --model {params.model:q}",
            DETERMINISM_ARMS,
        )
        + " --fetched {input.fetched:q} --prompts {input.prompts:q}"
        " --seeds {params.seeds} --test {input.test:q} --responses {params.folder:q}"
        " --passes {output.passes:q} > {log:q} 2>&1"


rule determinism:
    """Compare the ways to run the engine: equal replies, equal labels, flips lost."""
    input:
        refused(DETERMINISM_PROBLEM) if DETERMINISM_PROBLEM else [],
        script=own_file("workflow/scripts/determinism.py"),
        package=package("determinism"),
        tests=expand(f"{DETERMINISM}/tests/{{arm}}.json", arm=DETERMINISM_ARMS),
        passes=expand(f"{DETERMINISM}/passes/{{arm}}.parquet", arm=DETERMINISM_ARMS),
        verdicts=expand(
            f"{DETERMINISM}/verdicts/{{judge}}/{{arm}}.parquet",
            judge=list(JUDGES)[:1],
            arm=DETERMINISM_ARMS,
        ),
    output:
        table=f"{EXPERIMENTS}/determinism.csv",
        prompts=f"{EXPERIMENTS}/determinism_prompts.csv",
        figure=experiment_figure("determinism"),
        images=multiext(f"{EXPERIMENTS}/determinism", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/determinism.txt",
    log:
        f"{RUN}/logs/experiments/determinism.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        model=DETERMINISM_MODEL["name"] if DETERMINISM_MODEL else "",
        judge=list(JUDGES)[0],
        arms=model_settings.MODES,
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Comparing the ways to run the engine"
    shell:
        "python {input.script} --model {params.model:q}"
        " --judge {params.judge:q} --arms {params.arms} --tests {input.tests:q}"
        " --passes {input.passes:q} --verdicts {input.verdicts:q}"
        " --output {params.folder:q} > {log:q} 2>&1 && cat {output.caption:q}"
