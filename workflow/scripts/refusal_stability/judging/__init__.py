"""From replies to verdicts.

`judge` labels a model's replies by any kind of judge; a kind is a file. `shared_engine` does all
models of a judge in turn.
"""
