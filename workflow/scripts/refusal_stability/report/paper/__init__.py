"""Methods and tables for a paper, in Markdown and LaTeX, made of manifests and tables.

`write` is what the script uses.
"""
