"""Models and judges behind a provider.

`client` is what generation and judging use: it makes a provider of an entry. `batches` and
`concurrency` send many requests, `budget` counts them, `answer_store` keeps what was paid for. A
provider is a file.
"""
