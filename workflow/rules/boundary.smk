# Takes: prompts, replies, verdicts, and the weights of models. Makes: the probabilities of each
# prompt's first tokens, a job a model, and the experiment that forecasts from them.
FIRST_TOKENS = f"{EXPERIMENTS}/boundary/first_tokens/{{model}}"
FIRST_TOKENS_WANTED = config["experiments"]["boundary"]["tokens"]
WITH_PROBABILITIES = [name for name, model in MODELS.items() if "weights" in model]
# What of a model decides how its replies are drawn, and not how likely they are.
OF_DRAWING = ["top_p", "top_k", "max_tokens", "seed_scope"]


localrules:
    boundary,


rule first_tokens:
    """Ask a model how likely each first token of its replies is, for every prompt."""
    input:
        prompts=PROMPTS,
        weights=lambda wildcards: weights_files(MODELS[wildcards.model]),
        fetched=lambda wildcards: fetched(MODELS[wildcards.model]),
    output:
        first_tokens=f"{FIRST_TOKENS}.parquet",
        manifest=f"{FIRST_TOKENS}.json",
    log:
        f"{RUN}/logs/experiments/boundary/first_tokens/{{model}}.log",
    benchmark:
        f"{EXPERIMENTS}/boundary/benchmarks/first_tokens/{{model}}.tsv"
    wildcard_constraints:
        model=names.pattern(MODELS, with_weights=True),
    conda:
        "../../envs/engine.yaml"
    resources:
        **engine_resources(MODELS, "model"),
    params:
        model=lambda wildcards: settings(
            {
                key: value
                for key, value in model_settings.job_settings(
                    MODELS[wildcards.model]
                ).items()
                if key not in OF_DRAWING
            }
        ),
        tokens=FIRST_TOKENS_WANTED,
        version=versions.FIRST_TOKENS,
    message:
        "Asking {wildcards.model} for its first tokens"
    shell:
        launched(
            f"python {SCRIPTS}/first_tokens.py" " --model {params.model:q}", MODELS
        )
        + " --fetched {input.fetched:q} --prompts {input.prompts:q} --tokens {params.tokens}"
        " --output {output.first_tokens:q} > {log:q} 2>&1"


rule boundary:
    """Forecast from first tokens which prompts flip, and look whether they do."""
    input:
        script=own_file("workflow/scripts/boundary.py"),
        package=package("boundary"),
        prompts=PROMPTS,
        first_tokens=expand(f"{FIRST_TOKENS}.parquet", model=WITH_PROBABILITIES),
        responses=expand(
            f"{CELL}.parquet",
            model=WITH_PROBABILITIES,
            temperature=TEMPERATURES,
            seed=SEEDS,
        ),
        verdicts=ALL_VERDICTS,
    output:
        table=f"{EXPERIMENTS}/boundary.csv",
        calibration=f"{EXPERIMENTS}/boundary_calibration.csv",
        prompts=f"{EXPERIMENTS}/boundary_prompts.csv",
        figure=experiment_figure("boundary"),
        images=multiext(f"{EXPERIMENTS}/boundary", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/boundary.txt",
    log:
        f"{RUN}/logs/experiments/boundary.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        cuts=json.dumps(
            {
                name: {key: MODELS[name][key] for key in ("top_p", "top_k")}
                for name in WITH_PROBABILITIES
            }
        ),
        tokens=FIRST_TOKENS_WANTED,
        without=[name for name in MODELS if name not in WITH_PROBABILITIES],
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Forecasting flips from first tokens"
    shell:
        "python {input.script} --statistics {params.statistics:q} --cuts {params.cuts:q}"
        " --tokens {params.tokens} --without {params.without:q} --prompts {input.prompts:q}"
        f" --first-tokens {{input.first_tokens:q}} --responses {RUN}/responses {GRID}"
        " --verdicts {input.verdicts:q} --output {params.folder:q} > {log:q} 2>&1"
        " && cat {output.caption:q}"
