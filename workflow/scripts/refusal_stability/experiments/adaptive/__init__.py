"""The experiment `adaptive`: few seeds for all prompts, the others where labels differ."""
