"""Replies and verdicts that runs share, by what decides them.

`results` is what generation and judging use; `keys` says what decides a result, `store` holds it.
`staging` and `collect` pass on what one engine made for many cells.
"""
