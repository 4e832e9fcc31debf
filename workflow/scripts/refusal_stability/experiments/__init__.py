"""Questions beyond the tables, a folder each: analysis, figure, and what it asks an engine.

`common` has what all of them share; none uses another but for its sample.
"""
