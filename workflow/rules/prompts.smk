# Takes: datasets, files of prompts or the demo corpus. Makes: the frozen prompts of the run.
# Local: it may need the network, which compute nodes often lack.
localrules:
    prompts,


rule prompts:
    """Read the prompts, drop duplicates, give each an id."""
    input:
        sources=prompt_settings.files_behind(config["prompts"]),
    output:
        prompts=PROMPTS,
        manifest=f"{RUN}/prompts.json",
    log:
        f"{RUN}/logs/prompts.log",
    conda:
        "../../envs/prompts.yaml"
    params:
        settings=json.dumps(prompt_settings.recipe(config["prompts"]), sort_keys=True),
        version=versions.PROMPTS,
        # A function of the outputs is no reason to run again: nothing is made of an expectation.
        expect=lambda wildcards, output: json.dumps(config["prompts"].get("expect", {})),
    message:
        "Reading the prompts"
    shell:
        f"python {SCRIPTS}/prompts.py"
        " --settings {params.settings:q}"
        " --expect {params.expect:q}"
        " --output {output.prompts:q} > {log:q} 2>&1"
