# Takes: one judge's verdicts on all models that it judged. Makes: the stability of every prompt.
rule stability:
    """Count the labels of every prompt and measure how stable they are."""
    input:
        script=own_file("workflow/scripts/stability.py"),
        package=package("stability"),
        verdicts=lambda wildcards: verdicts(
            pair for pair in PAIRS if pair[0] == wildcards.judge
        ),
    output:
        STABILITY,
    log:
        f"{RUN}/logs/stability/{{judge}}.log",
    conda:
        "../../envs/stability.yaml"
    message:
        "Measuring stability under {wildcards.judge}"
    shell:
        "python {input.script} --verdicts {input.verdicts:q}"
        " --output {output:q} > {log:q} 2>&1"
