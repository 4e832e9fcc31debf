# Takes: the tables and one judge's stability. Makes: the figures under that judge.
rule figures:
    """Draw every figure under one judge; nothing is computed here."""
    input:
        script=own_file("workflow/scripts/figures.py"),
        package=package("figures"),
        stability=STABILITY,
        tables=STATISTICS_TABLES,
    output:
        [
            report(
                f"{RUN}/figures/{{judge}}/{figure}.svg",
                caption=f"../report/figures/{figure}.rst",
                category="Figures",
                subcategory="{judge}",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in FIGURES
        ],
        [
            f"{RUN}/figures/{{judge}}/{figure}.{kind}"
            for figure in FIGURES
            for kind in ["pdf", "png"]
        ],
    log:
        f"{RUN}/logs/figures/{{judge}}.log",
    conda:
        "../../envs/figures.yaml"
    params:
        tables=lambda wildcards, input: Path(input.tables[0]).parent,
        folder=lambda wildcards, output: Path(output[0]).parent,
        unstable_below=config["statistics"]["unstable_below"],
    message:
        "Drawing the figures under {wildcards.judge}"
    shell:
        "python {input.script} --judge {wildcards.judge:q} --stability {input.stability:q}"
        " --tables {params.tables:q} --unstable-below {params.unstable_below}"
        " --output {params.folder:q} > {log:q} 2>&1"
