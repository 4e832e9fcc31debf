"""The experiment `determinism`: what ways to run an engine do to its replies."""
