"""The experiment `category_probe`: whether one category of prompts is more stable than another."""
