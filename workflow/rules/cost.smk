# Takes: manifests and benchmark files of the run. Makes: the table of what it did cost.
# Local: it reads a few small files.
localrules:
    cost,


rule cost:
    """Sum up calls, tokens, time, GPU-hours and money, by stage, judge and model."""
    input:
        script=own_file("workflow/scripts/cost.py"),
        package=package("cost"),
        # Made after all cells of their model, whose manifests and benchmark files are read too.
        manifests=[
            f"{VERDICTS.format(judge=judge, model=model)}.json"
            for judge, model in PAIRS
        ],
    output:
        report(
            COST,
            caption="../report/tables/cost.rst",
            category="Tables",
            labels={"table": "cost"},
        ),
    log:
        f"{RUN}/logs/cost.log",
    conda:
        "../../envs/cost.yaml"
    params:
        run=lambda wildcards, output: Path(output[0]).parents[1],
        grid=json.dumps(
            {
                "models": list(MODELS),
                "judges": list(JUDGES),
                "temperatures": TEMPERATURES,
                "seeds": SEEDS,
            }
        ),
        prices=json.dumps(config.get("prices", {}), sort_keys=True),
    message:
        "Summing up what the run did cost"
    shell:
        "python {input.script} --run {params.run:q} --grid {params.grid:q}"
        " --prices {params.prices:q} --output {output:q} > {log:q} 2>&1"
