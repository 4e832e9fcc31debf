"""The experiment `scoring`: how PARTIAL counts."""
