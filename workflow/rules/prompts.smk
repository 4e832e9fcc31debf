# Takes: a dataset, a file of prompts or the demo corpus. Makes: the frozen prompts of the run.
# Local: it may need the network, which compute nodes often lack.
localrules:
    prompts,


rule prompts:
    """Read the prompts, drop duplicates, give each an id."""
    input:
        source=prompts_file(),
    output:
        prompts=PROMPTS,
        manifest=f"{RUN}/prompts.json",
    log:
        f"{RUN}/logs/prompts.log",
    conda:
        "../../envs/prompts.yaml"
    params:
        settings=json.dumps(config["prompts"], sort_keys=True),
        version=versions.PROMPTS,
    message:
        "Reading the prompts"
    shell:
        "python workflow/scripts/prompts.py --settings {params.settings:q}"
        " --output {output.prompts:q} --manifest {output.manifest:q} > {log:q} 2>&1"
