"""Labels that exist already, from files.

`load` reads them all, `pairs` only whose they are, `human` those of a judge that is a person.
"""
