# Takes: judges and responses. Makes: their verdicts for the experiments on judges, in jobs of their own.
from refusal_stability import judge_settings, names


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
        manifest=f"{AGREEMENT}/{{judge}}.json",
    log:
        f"{RUN}/logs/experiments/judge_sample/{{judge}}.log",
    benchmark:
        f"{RUN}/benchmarks/experiments/judge_sample/{{judge}}.tsv"
    wildcard_constraints:
        judge=names.pattern(SAMPLE_JUDGES, with_weights=True),
    conda:
        "../../envs/judge.yaml"
    resources:
        **engine_resources(SAMPLE_JUDGES, "judge"),
    params:
        judge=lambda wildcards: settings(
            judge_settings.told(SAMPLE_JUDGES[wildcards.judge])
        ),
        version=versions.JUDGING,
    message:
        "Judging the sample by {wildcards.judge}"
    shell:
        launched(
            "python workflow/scripts/judge_sample.py --judge {params.judge:q}",
            SAMPLE_JUDGES,
        )
        + " --fetched {input.fetched:q} --sample {input.sample:q} --prompts {input.prompts:q}"
        f" --responses {RUN}/responses {GRID}"
        f" --cache {RUN}/cache/verdicts/{{wildcards.judge}} {SHARED_CACHE}"
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
            judge_settings.told(SAMPLE_JUDGES[wildcards.judge]), sort_keys=True
        ),
        version=versions.JUDGING,
