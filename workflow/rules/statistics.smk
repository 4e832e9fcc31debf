# Takes: stability and verdicts of all judges. Makes: the tables for people and papers.
rule statistics:
    """Compute every table, with intervals over prompts."""
    input:
        script=own_file("workflow/scripts/tables.py"),
        package=package("tables"),
        prompts=PROMPTS,
        stability=expand(STABILITY, judge=JUDGES),
        verdicts=ALL_VERDICTS,
        responses=RESPONSES,
    output:
        [
            report(
                table,
                caption=f"../report/tables/{Path(table).stem}.rst",
                category="Tables",
                labels={"table": Path(table).stem.replace("_", " ")},
            )
            for table in STATISTICS_TABLES
        ],
    log:
        f"{RUN}/logs/statistics.log",
    benchmark:
        f"{RUN}/benchmarks/statistics.tsv"
    conda:
        "../../envs/statistics.yaml"
    params:
        settings=json.dumps(config["statistics"], sort_keys=True),
        folder=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Computing the tables"
    shell:
        "python {input.script} --settings {params.settings:q} --prompts {input.prompts:q}"
        " --stability {input.stability:q} --verdicts {input.verdicts:q}"
        + f" --responses {RUN}/responses {GRID}" * bool(RESPONSES)
        + " --output {params.folder:q} > {log:q} 2>&1"
