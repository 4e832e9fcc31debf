"""From verdicts to tables: arrays of a run, intervals, tests, models of judges.

`run_arrays` is where each statistic starts, `bootstrap` has the intervals, `hypothesis_tests` the
tests, `tables` makes all tables of a run. Nothing here reads or writes a file.
"""
