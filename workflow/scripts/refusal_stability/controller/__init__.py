"""What runs in Snakemake's own process: standard library, yaml and jsonschema alone.

Checks before a run, which files a rule's code is, Slurm's queue, and the last words of a failed
run.
"""
