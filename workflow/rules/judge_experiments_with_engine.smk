# Takes: judges and responses. Makes: their verdicts for the experiments on judges, in jobs of their own.
from refusal_stability.core import names
from refusal_stability.settings import judges as judge_settings


localrules:
    noise_sample,
    judge_noise,


rule judge_sample:
    """Label the sample by a judge that is no part of the run."""
    input:
        sample=AGREEMENT_SAMPLE,
        prompts=PROMPTS,
        responses=RESPONSES,
        instructions=lambda wildcards: judge_settings.instructions_file(
            SAMPLE_JUDGES[wildcards.judge]
        ),
        weights=lambda wildcards: weights_files(SAMPLE_JUDGES[wildcards.judge]),
        fetched=lambda wildcards: fetched(SAMPLE_JUDGES[wildcards.judge]),
    output:
        verdicts=SAMPLE_VERDICTS,
        manifest=f"{AGREEMENT}/manifests/{{judge}}.json",
    log:
        f"{RUN}/logs/experiments/judge_sample/{{judge}}.log",
    benchmark:
        f"{RUN}/benchmarks/experiments/judge_sample/{{judge}}.tsv"
    wildcard_constraints:
        judge=names.pattern(SAMPLE_JUDGES, with_weights=True),
    conda:
        "../../envs/engine.yaml"
    resources:
        **engine_resources(SAMPLE_JUDGES, "judge"),
    params:
        judge=lambda wildcards: settings(
            judge_settings.job_settings(SAMPLE_JUDGES[wildcards.judge])
        ),
        version=versions.JUDGING,
    message:
        "Judging the sample by {wildcards.judge}"
    shell:
        launched(
            f"python {SCRIPTS}/judge_sample.py" " --judge {params.judge:q}",
            SAMPLE_JUDGES,
        )
        + " --fetched {input.fetched:q} --sample {input.sample:q} --prompts {input.prompts:q}"
        f" --responses {RUN}/responses {GRID}"
        f" --cache {RUN}/cache/verdicts/{{wildcards.judge}} {SHARED_CACHE} {BUDGET}"
        " --output {output.verdicts:q} --manifest {output.manifest:q} > {log:q} 2>&1"


use rule judge_sample as judge_sample_without_gpu with:
    input:
        sample=AGREEMENT_SAMPLE,
        prompts=PROMPTS,
        responses=RESPONSES,
        instructions=lambda wildcards: judge_settings.instructions_file(
            SAMPLE_JUDGES[wildcards.judge]
        ),
        fetched=[],
    wildcard_constraints:
        judge=names.pattern(SAMPLE_JUDGES, with_weights=False),
    conda:
        "../../envs/judge_without_gpu.yaml"
    resources:
        gpu=0,
        launcher="",
        api=lambda wildcards: int("model" in SAMPLE_JUDGES[wildcards.judge]),
    params:
        judge=lambda wildcards: json.dumps(
            judge_settings.job_settings(SAMPLE_JUDGES[wildcards.judge]), sort_keys=True
        ),
        version=versions.JUDGING,


rule noise_sample:
    """Draw the texts that judges are asked about again."""
    input:
        # Without its modules: judges would be asked about the same texts again.
        script=own_file("workflow/scripts/noise_sample.py"),
        prompts=PROMPTS,
        # The first judge's.
        verdicts=verdicts(
            pair for pair in PAIRS if pair[0] == list(ASKED_AGAIN or JUDGES)[0]
        ),
        responses=RESPONSES,
    output:
        NOISE_SAMPLE,
    log:
        f"{RUN}/logs/experiments/noise_sample.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        size=NOISE_SETTINGS["responses"],
    message:
        "Drawing texts to judge again"
    shell:
        "python {input.script} --size {params.size} --prompts {input.prompts:q}"
        f" --verdicts {{input.verdicts:q}} --responses {RUN}/responses"
        " --output {output:q} > {log:q} 2>&1"


rule rejudge:
    """Label the same texts again and again by one judge with weights of its own."""
    input:
        texts=NOISE_SAMPLE,
        instructions=lambda wildcards: judge_settings.instructions_file(
            JUDGES[wildcards.judge]
        ),
        weights=lambda wildcards: weights_files(JUDGES[wildcards.judge]),
        fetched=lambda wildcards: fetched(JUDGES[wildcards.judge]),
    output:
        f"{NOISE}/labels/{{judge}}.parquet",
    log:
        f"{RUN}/logs/experiments/rejudge/{{judge}}.log",
    benchmark:
        f"{RUN}/benchmarks/experiments/rejudge/{{judge}}.tsv"
    wildcard_constraints:
        judge=names.pattern(ASKED_AGAIN, with_weights=True),
    conda:
        "../../envs/engine.yaml"
    resources:
        **engine_resources(JUDGES, "judge"),
    params:
        judge=lambda wildcards: settings(
            judge_settings.job_settings(JUDGES[wildcards.judge])
        ),
        version=versions.JUDGING,
        repeats=NOISE_SETTINGS["repeats"],
        temperature=NOISE_SETTINGS["temperature"],
    message:
        "Judging the same texts again by {wildcards.judge}"
    shell:
        launched(f"python {SCRIPTS}/rejudge.py" " --judge {params.judge:q}", JUDGES)
        + " --fetched {input.fetched:q} --texts {input.texts:q} --repeats {params.repeats}"
        " --temperature {params.temperature}"
        f" --cache {RUN}/cache/rejudged/{{wildcards.judge}}.jsonl {BUDGET}"
        " --output {output:q} > {log:q} 2>&1"


use rule rejudge as rejudge_without_gpu with:
    input:
        texts=NOISE_SAMPLE,
        instructions=lambda wildcards: judge_settings.instructions_file(
            JUDGES[wildcards.judge]
        ),
        fetched=[],
    wildcard_constraints:
        judge=names.pattern(ASKED_AGAIN, with_weights=False),
    conda:
        "../../envs/judge_without_gpu.yaml"
    resources:
        gpu=0,
        launcher="",
        api=1,
    params:
        judge=lambda wildcards: json.dumps(
            judge_settings.job_settings(JUDGES[wildcards.judge]), sort_keys=True
        ),
        version=versions.JUDGING,
        repeats=NOISE_SETTINGS["repeats"],
        temperature=NOISE_SETTINGS["temperature"],


rule judge_noise:
    """Say how often labels change with nothing else changing, and correct the flip rate."""
    input:
        script=own_file("workflow/scripts/judge_noise.py"),
        package=package("judge_noise"),
        prompts=PROMPTS,
        texts=NOISE_SAMPLE,
        rejudged=asked_again,
        verdicts=verdicts(pair for pair in PAIRS if pair[0] in ASKED_AGAIN),
    output:
        table=f"{EXPERIMENTS}/judge_noise.csv",
        flips=f"{EXPERIMENTS}/judge_noise_flips.csv",
        figure=experiment_figure("judge_noise"),
        images=multiext(f"{EXPERIMENTS}/judge_noise", ".pdf", ".png"),
        caption=f"{EXPERIMENTS}/judge_noise.txt",
    log:
        f"{RUN}/logs/experiments/judge_noise.log",
    conda:
        "../../envs/experiments.yaml"
    params:
        statistics=json.dumps(config["statistics"], sort_keys=True),
        folder=lambda wildcards, output: Path(output.table).parent,
    message:
        "Measuring the noise of judges"
    shell:
        "python {input.script} --statistics {params.statistics:q} --prompts {input.prompts:q}"
        " --texts {input.texts:q} --rejudged {input.rejudged:q} --verdicts {input.verdicts:q}"
        " --output {params.folder:q} > {log:q} 2>&1 && cat {output.caption:q}"
