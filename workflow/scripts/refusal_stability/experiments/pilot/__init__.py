"""The experiment `pilot`: what a study would show and cost, from a sample of its prompts."""
