"""What an entry of the configuration means to a job, with the standard library alone.

A module a section: its defaults, what a job is passed of it, and what no schema can say.
"""
