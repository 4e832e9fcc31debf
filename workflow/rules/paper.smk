# Takes: tables and manifests of a run. Makes: what a paper needs of it, a target that nothing else
# asks for.
PAPER = f"{RUN}/paper"


# Local: seconds.
localrules:
    paper,


rule paper:
    """Write methods, citations and tables of the run, for a paper."""
    input:
        script=own_file("workflow/scripts/paper.py"),
        package=package("paper"),
        citations=own_file("resources/citations.bib"),
        tables=ALL_TABLES,
        figures=ALL_FIGURES,
    output:
        methods=multiext(f"{PAPER}/methods", ".md", ".tex"),
        citations=f"{PAPER}/citation.bib",
        paper=f"{PAPER}/paper.tex",
        tables=directory(f"{PAPER}/tables"),
    log:
        f"{RUN}/logs/paper.log",
    conda:
        "../../envs/cost.yaml"
    params:
        run=lambda wildcards, input: Path(input.tables[0]).parents[1],
        models=list(MODELS),
        judges=list(JUDGES),
        statistics=json.dumps(config["statistics"], sort_keys=True),
        # Those of experiments that are there: none is run for it.
        experiments=lambda wildcards: sorted(map(str, Path(EXPERIMENTS).glob("*.csv"))),
        folder=lambda wildcards, output: Path(output.paper).parent,
    message:
        "Writing methods, citations and tables for a paper"
    shell:
        "python {input.script} --run {params.run:q} --models {params.models:q}"
        " --judges {params.judges:q}"
        + f" {GRID}" * bool(RESPONSES)
        + " --statistics {params.statistics:q}"
        " --tables {input.tables:q} {params.experiments:q} --citations {input.citations:q}"
        " --output {params.folder:q} > {log:q} 2>&1"
