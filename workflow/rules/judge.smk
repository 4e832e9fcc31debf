# Takes: all cells of a model. Makes: one judge's verdicts on them and their manifest.
rule judge:
    """Label every response of one model by one judge."""
    input:
        prompts=PROMPTS,
        responses=expand(
            f"{CELL}.parquet",
            temperature=TEMPERATURES,
            seed=SEEDS,
            allow_missing=True,
        ),
        rubric=lambda wildcards: JUDGES[wildcards.judge]["rubric"],
        weights=lambda wildcards: weights_files(JUDGES[wildcards.judge]),
    output:
        verdicts=f"{VERDICTS}.parquet",
        manifest=f"{VERDICTS}.json",
    log:
        f"{RUN}/logs/judge/{{judge}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge/{{judge}}/{{model}}.tsv"
    conda:
        "../../envs/judge.yaml"
    resources:
        gpu=lambda wildcards: JUDGES[wildcards.judge]["gpus"],
    params:
        judge=lambda wildcards: settings(JUDGES[wildcards.judge]),
        version=versions.JUDGING,
    message:
        "Judging {wildcards.model} by {wildcards.judge}"
    shell:
        "python workflow/scripts/judge.py --judge {params.judge:q}"
        " --prompts {input.prompts:q} --responses {input.responses:q}"
        " --output {output.verdicts:q} --manifest {output.manifest:q} > {log:q} 2>&1"
