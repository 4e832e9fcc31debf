"""The models that the demo trains."""
