"""The experiment `plan_seeds`: how many seeds and temperatures a question takes."""
