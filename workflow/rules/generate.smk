# Takes: prompts and a model's weights. Makes: the replies of one cell and their manifest.
rule generate:
    """Generate a model's reply to every prompt at one temperature and seed, with vLLM."""
    input:
        prompts=PROMPTS,
        weights=lambda wildcards: weights_files(MODELS[wildcards.model]),
    output:
        responses=f"{CELL}.parquet",
        manifest=f"{CELL}.json",
    log:
        f"{RUN}/logs/generate/{{model}}/T{{temperature}}_seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/generate/{{model}}/T{{temperature}}_seed{{seed}}.tsv"
    conda:
        "../../envs/generate.yaml"
    resources:
        gpu=lambda wildcards: MODELS[wildcards.model]["gpus"],
        # On Slurm: one process on one node has all of them. The default is a task a GPU,
        # each with all the cores, on any nodes.
        nodes=1,
        tasks_per_gpu=0,
    params:
        model=lambda wildcards: settings(MODELS[wildcards.model]),
        version=versions.GENERATION,
    message:
        "Generating {wildcards.model} at T={wildcards.temperature}, seed {wildcards.seed}"
    shell:
        "python workflow/scripts/generate.py --model {params.model:q}"
        " --temperature {wildcards.temperature} --seed {wildcards.seed}"
        " --prompts {input.prompts:q}"
        " --output {output.responses:q} --manifest {output.manifest:q} > {log:q} 2>&1"
