# Takes: prompts and a model's weights, or its API. Makes: the replies of one cell and their manifest.
from refusal_stability.core import names
from refusal_stability.settings import models as model_settings

# What a job with a model's engine takes.
GENERATION_RESOURCES = {
    "gpu": resource_by_model(lambda model: model["gpus"] * model["nodes"]),
    # On Slurm: one process on one node has all of them. The default is a task a GPU,
    # each with all the cores, on any nodes.
    "nodes": resource_by_model(lambda model: model["nodes"]),
    "tasks_per_gpu": 0,
    # Over several nodes, a process on each; srun starts them, and not the executor.
    "tasks": resource_by_model(lambda model: over_nodes(model, model["nodes"])),
    "mpi": resource_by_model(lambda model: over_nodes(model, "srun")),
    "launcher": launcher(MODELS, "model"),
}
# What no model has is not worked out for each of its cells.
GENERATION_RESOURCES = {
    name: value for name, value in GENERATION_RESOURCES.items() if value is not None
}


rule generate:
    """Generate a model's reply to every prompt at one temperature and seed, with vLLM."""
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
        responses=f"{CELL}.parquet",
        manifest=f"{CELL}.json",
    log:
        f"{RUN}/logs/generate/{{model}}/{CELL_NAME}.log",
    benchmark:
        f"{RUN}/benchmarks/generate/{{model}}/{CELL_NAME}.tsv"
    wildcard_constraints:
        model=names.pattern({} if SHARED else MODELS, with_weights=True),
    conda:
        "../../envs/engine.yaml"
    resources:
        **GENERATION_RESOURCES,
    params:
        model=by_model(lambda model: settings(model_settings.job_settings(model))),
        version=versions.GENERATION,
    message:
        "Generating {wildcards.model} at T={wildcards.temperature}, seed {wildcards.seed}"
    shell:
        generate_command(PROMPTS, MODELS)


use rule generate as generate_without_gpu with:
    input:
        prompts=PROMPTS,
        fetched=[],
    wildcard_constraints:
        model=names.pattern(MODELS, with_weights=False),
    conda:
        "../../envs/generate_without_gpu.yaml"
    resources:
        gpu=0,
        launcher="",
        # Limits of requests are a job's own: `--resources api=1` runs one such job at a time.
        api=1,
    params:
        model=lambda wildcards: json.dumps(MODELS[wildcards.model], sort_keys=True),
        version=versions.GENERATION,
