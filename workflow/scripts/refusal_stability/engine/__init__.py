"""vLLM in this process.

`vllm_engine` starts an engine and streams through it, `chat` makes token ids, `reasoning` splits
replies; `hardware`, `multinode` and `determinism` see that an engine can start as asked, `facts`
says what it was.
"""
