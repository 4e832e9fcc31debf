"""What the expensive stages depend on besides their inputs and settings.

Their rules do not look at scripts or modules, so that editing a comment reruns no GPU job.
Instead, each stage's version is a parameter of its rule and stands in its manifest: bump it
when a change of the code would give another result from the same configuration. Then, and
only then, the stage and all that follows is run again.
"""

PROMPTS = 1
TRAINING = 1
GENERATION = 1
JUDGING = 1
FIRST_TOKENS = 1
