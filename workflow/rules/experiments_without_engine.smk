# Takes: nothing. Makes: one line for who asks a run from labels for what takes a model or a judge.


for name in ENGINE_EXPERIMENTS:

    rule:
        name:
            name
        input:
            has_no_engine(name),
