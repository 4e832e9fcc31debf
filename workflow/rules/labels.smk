# Takes: files of labels and, perhaps, of what is known of the prompts. Makes: the verdicts of all
# judges, the prompts of the run and a manifest, in place of prompts, generate and judge.
rule import_labels:
    """Check labels that somebody already has, and write them as verdicts."""
    input:
        script=own_file("workflow/scripts/import_labels.py"),
        package=package("import_labels"),
        labels=config["labels"],
        prompt_info=config.get("prompt_info") or [],
    output:
        verdicts=ALL_VERDICTS,
        prompts=PROMPTS,
        manifest=f"{RUN}/labels.json",
    log:
        f"{RUN}/logs/import_labels.log",
    benchmark:
        f"{RUN}/benchmarks/import_labels.tsv"
    conda:
        "../../envs/import_labels.yaml"
    params:
        model_aliases=json.dumps(config.get("model_aliases", {})),
        judge_aliases=json.dumps(config.get("judge_aliases", {})),
        prompt_info="--prompt-info" if config.get("prompt_info") else "",
        folder=lambda wildcards, output: Path(output.verdicts[0]).parents[1],
    message:
        "Importing the labels"
    shell:
        "python {input.script} --labels {input.labels:q}"
        " {params.prompt_info} {input.prompt_info:q}"
        " --model-aliases {params.model_aliases:q} --judge-aliases {params.judge_aliases:q}"
        " --verdicts {params.folder:q} --prompts {output.prompts:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"
