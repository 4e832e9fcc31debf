"""What is in each file that one stage writes and another reads.

`stages`, `tables` and `experiments` declare columns, `columns` what several share; `storage`
reads and writes files by them, with a manifest.
"""
