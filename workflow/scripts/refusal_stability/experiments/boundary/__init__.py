"""The experiment `boundary`: from the first tokens of a reply to the chance that a prompt flips."""
