"""Hypothesis runs the same examples every time, without a deadline."""

from hypothesis import settings

settings.register_profile("unit", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("unit")
