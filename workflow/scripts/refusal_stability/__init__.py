"""How stable are the refusals of language models: the package behind the workflow.

A folder a stage, in layers: a module imports from the layers below its own and from its own
folder, never from above. docs/design.md has the layers; `make test` checks them.
"""
