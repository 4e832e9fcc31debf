"""From prompts to replies.

`local` by an engine and `api` by a provider, a cell each; `shared_engine` for all cells of a
model.
"""
