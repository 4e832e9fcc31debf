"""Weights and datasets of the Hugging Face hub.

`access` finds the cache and words its errors, `weights` fetches and opens repositories,
`checksums` names what is in a folder of weights.
"""
