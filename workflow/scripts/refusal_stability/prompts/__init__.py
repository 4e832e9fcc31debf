"""Prompts, of files, datasets and the demo.

`load` makes the prompts of a configuration.
"""
