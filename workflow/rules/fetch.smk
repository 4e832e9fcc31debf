# Takes: weights on the Hugging Face hub. Makes: the revision that the configuration asks for, in the
# hub's cache on this machine (HF_HOME), and a record of it.
# Local: it needs the network, which compute nodes often lack.
localrules:
    fetch_weights,


rule fetch_weights:
    """Download the weights of one model or judge, once."""
    output:
        FETCHED,
    log:
        f"{RUN}/logs/fetch_weights/{{hub_weights}}.log",
    conda:
        "../../envs/fetch_weights.yaml"
    # No parameter: a permission makes no record old.
    resources:
        pickles=lambda wildcards: "--allow-pickle" * (wildcards.hub_weights in PICKLES),
    params:
        weights=lambda wildcards: HUB_WEIGHTS[wildcards.hub_weights][0],
        revision=lambda wildcards: HUB_WEIGHTS[wildcards.hub_weights][1],
    message:
        "Fetching {params.weights}, revision {params.revision}"
    # Descriptor 3 is the terminal, for the bars; all that is said goes to the log.
    shell:
        f"python {SCRIPTS}/fetch_weights.py"
        " --weights {params.weights:q}"
        " --revision {params.revision:q} --output {output:q} {resources.pickles}"
        " --progress 3 3>&2 > {log:q} 2>&1"
