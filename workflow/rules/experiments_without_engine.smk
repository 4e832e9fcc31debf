# Takes: nothing. Makes: one line for who asks a run from labels for what takes a model or a judge.


for name in ENGINE_EXPERIMENTS:

    rule:
        name:
            name
        input:
            refused(
                f"{name} asks models or judges anew, and this run starts from labels. Hint: run it"
                " on a configuration with models and judges"
            ),
