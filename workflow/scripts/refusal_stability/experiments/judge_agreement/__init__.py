"""The experiment `judge_agreement`: a sample of replies labelled by further judges."""
