"""The words of the workflow and its smallest tools, with the standard library alone.

Everybody may use all of it: cells, labels, names, versions, errors, hashes, text files, numbers
in sentences, and `cli`, the frame of every script.
"""
