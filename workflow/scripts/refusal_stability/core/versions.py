"""What the expensive stages depend on besides their inputs and settings.

Their rules do not look at scripts or modules, so that editing a comment reruns no GPU job.
Instead, each stage's version is a parameter of its rule and stands in its manifest: bump it
when a change of the code would give another result from the same configuration. Then, and
only then, the stage and all that follows is run again.
"""

# Of the files themselves, in every manifest; not in records of fetched weights, which are inputs of
# jobs. Raised when a column or key is added or means something else. Files of an older format are
# read if they keep today's contracts; others are named as not of this version.
# 2: a finish_reason may be too_long.
FORMAT = 2

PROMPTS = 1
TRAINING = 1
# 2: batch limits, FlashInfer's switches and the text part of a model are set, templates have one
# date, and seed_scope: cell the runner that it takes.
# Before it is raised again, see generation_api._REPLIES_HOLD_UNTIL.
GENERATION = 2
# 2: as of generation, logits in float32, and a constrained label that is the most probable one.
# Before it is raised again, see verdict_store._LABELS_HOLD_UNTIL.
JUDGING = 2
# 2: as of judging.
FIRST_TOKENS = 2
