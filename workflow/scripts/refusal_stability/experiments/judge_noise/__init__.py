"""The experiment `judge_noise`: how often a judge's label changes with nothing else changing."""
