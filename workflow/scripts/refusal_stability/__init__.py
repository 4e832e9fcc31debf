"""How stable are the refusals of a language model? The science of the workflow."""
