"""The experiment `seed_scope`: whether prompts that share a seed flip together."""
