# Takes: the committed demo corpus. Makes: a tiny model, trained on the spot.
rule train_demo_model:
    """Train one tiny model of the embedded demo: a standard transformers checkpoint."""
    input:
        corpus=own_file("resources/demo/corpus.yaml"),
    output:
        [f"{DEMO_WEIGHTS}/{file}" for file in CHECKPOINT],
    log:
        f"{RUN}/logs/train_demo_model/{{demo_model}}.log",
    benchmark:
        f"{RUN}/benchmarks/train_demo_model/{{demo_model}}.tsv"
    conda:
        "../../envs/train_demo_model.yaml"
    params:
        # Not an input: another rubric is put to the judges as they are, as it would be to real
        # ones; it trains nothing and generates nothing anew.
        rubric=own_file("resources/rubrics/demo.txt"),
        specs=DEMO_MODELS_FILE,
        # Not the file but one model's entry reruns it: editing one does not train the others.
        spec=lambda wildcards: json.dumps(DEMO_MODELS[wildcards.demo_model]),
        folder=lambda wildcards, output: Path(output[0]).parent,
        version=versions.TRAINING,
    message:
        "Training the demo model {wildcards.demo_model}"
    shell:
        f"python {SCRIPTS}/train_demo_model.py"
        " --spec {params.specs:q} --name {wildcards.demo_model}"
        " --corpus {input.corpus:q} --rubric {params.rubric:q}"
        " --output {params.folder:q} > {log:q} 2>&1"
