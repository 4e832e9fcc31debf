"""The experiment `compare`: two models, or a model before and after."""
