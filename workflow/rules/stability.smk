# Takes: one judge's verdicts on all models. Makes: the stability of every prompt.
rule stability:
    """Count the labels of every prompt and measure how stable they are."""
    input:
        script="workflow/scripts/stability.py",
        package=package("stability", "contracts", "labels", "cells", "files"),
        verdicts=expand(f"{VERDICTS}.parquet", model=MODELS, allow_missing=True),
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
