# Takes: verdicts and, where there are any, responses. Makes: the experiments on judges
# (docs/experiments.md).


localrules:
    agreement_sample,
    judge_agreement,


# A judge labels the sample, all models of it in one job.
AGREEMENT = f"{EXPERIMENTS}/judge_agreement"
AGREEMENT_SAMPLE = f"{AGREEMENT}/sample.parquet"
SAMPLE_VERDICTS = expand(
    f"{AGREEMENT}/{{judge}}/{{model}}.parquet", model=MODELS, allow_missing=True
)
# Without replies there is nothing to show to a person.
TO_LABEL = [] if "labels" in config else [f"{AGREEMENT}/to_label.parquet"]


rule agreement_sample:
    """Draw the responses that all judges label."""
    input:
        # Without its modules: judges would label a sample again that is the same.
        script=own_file("workflow/scripts/agreement_sample.py"),
        prompts=PROMPTS,
        # The first judge's.
        verdicts=verdicts(pair for pair in PAIRS if pair[0] == PAIRS[0][0]),
        responses=RESPONSES,
    output:
        sample=AGREEMENT_SAMPLE,
        to_label=TO_LABEL,
    log:
        f"{RUN}/logs/experiments/agreement_sample.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        size=config["experiments"]["judge_agreement"]["responses"],
    message:
        "Drawing a sample of responses"
    shell:
        "python {input.script} --size {params.size} --prompts {input.prompts:q}"
        f" --verdicts {{input.verdicts:q}} --responses {RUN}/responses"
        " --sample {output.sample:q} --to-label {output.to_label:q} > {log:q} 2>&1"


rule judge_agreement:
    """Compare judges on a sample of the responses."""
    input:
        script=own_file("workflow/scripts/judge_agreement.py"),
        package=package("judge_agreement"),
        prompts=PROMPTS,
        sample=AGREEMENT_SAMPLE,
        verdicts=ALL_VERDICTS,
        more_verdicts=expand(SAMPLE_VERDICTS, judge=SAMPLE_JUDGES),
    output:
        table=f"{EXPERIMENTS}/judge_agreement.csv",
        confusion=f"{EXPERIMENTS}/judge_agreement_confusion.csv",
        responses=f"{EXPERIMENTS}/judge_agreement_responses.csv",
        figure=experiment_figure("judge_agreement"),
        images=multiext(f"{EXPERIMENTS}/judge_agreement", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/judge_agreement.txt",
    log:
        f"{RUN}/logs/experiments/judge_agreement.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Comparing judges"
    shell:
        "python {input.script} --statistics {params.statistics:q} --sample {input.sample:q}"
        " --verdicts {input.verdicts:q} {input.more_verdicts:q}"
        " --output {params.folder:q} > {log:q} 2>&1 && cat {output.caption:q}"
