# Takes: every table and the published figures. Makes: both side by side, with a verdict.
rule replication:
    """Set the published figures beside those of the run."""
    input:
        script=own_file("workflow/scripts/replication.py"),
        package=package("replication"),
        figures=config["published_figures"],
        tables=STATISTICS_TABLES,
    output:
        report(
            REPLICATION,
            caption="../report/tables/replication.rst",
            category="Tables",
            labels={"table": "replication"},
        ),
    log:
        f"{RUN}/logs/replication.log",
    conda:
        "../../envs/replication.yaml"
    params:
        tables=lambda wildcards, input: Path(input.tables[0]).parent,
    message:
        "Comparing with the published figures"
    shell:
        "python {input.script} --figures {input.figures:q} --tables {params.tables:q}"
        " --output {output:q} > {log:q} 2>&1"
