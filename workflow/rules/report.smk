# Takes: tables, verdicts and one judge's stability. Makes: the page that people read, one HTML file
# without prompts and replies, unless they are asked for.
rule report_page:
    """Write what was found, to read, explore and share; Snakemake's own report has the provenance."""
    input:
        script=own_file("workflow/scripts/report_page.py"),
        package=package("report_page"),
        resources=PAGE_RESOURCES,
        prompts=PROMPTS,
        verdicts=ALL_VERDICTS,
        stability=STABILITY.format(judge=list(JUDGES)[0]),
        tables=STATISTICS_TABLES,
        more_tables=[path for path in ALL_TABLES if path not in STATISTICS_TABLES],
        responses=RESPONSES if report_settings.includes_text(config) else [],
        other_models=report_settings.other_models(config) or [],
        other_verdicts=report_settings.other_verdicts(config, list(MODELS)),
    output:
        REPORT_PAGE,
    log:
        f"{RUN}/logs/report_page.log",
    conda:
        "../../envs/report_page.yaml"
    params:
        run=config["run"],
        about=json.dumps(
            {
                "statistics": config["statistics"],
                "shared_scope": [
                    name
                    for name, model in MODELS.items()
                    if model and model["seed_scope"] == "cell"
                ],
                "self_judging": SELF_JUDGING,
                "from_labels": "labels" in config,
            }
        ),
        tables=lambda wildcards, input: Path(input.tables[0]).parent,
        resources=lambda wildcards, input: Path(input.resources[0]).parent,
    message:
        "Writing the page of the run"
    shell:
        "python {input.script} --run {params.run:q} --about {params.about:q}"
        " --prompts {input.prompts:q} --verdicts {input.verdicts:q}"
        " --stability {input.stability:q} --tables {params.tables:q}"
        " --more-tables {input.more_tables:q} --resources {params.resources:q}"
        + f" {GRID}" * bool(RESPONSES)
        + f" --responses {RUN}/responses" * report_settings.includes_text(config)
        + (
            " --other-models {input.other_models:q}"
            " --other-verdicts {input.other_verdicts:q}"
        )
        * bool(report_settings.other_models(config))
        + " --output {output:q} > {log:q} 2>&1"
