"""Figures of the tables of a run. They compute nothing.

`draw` knows all of them, `style` is shared with the figures of experiments.
"""
