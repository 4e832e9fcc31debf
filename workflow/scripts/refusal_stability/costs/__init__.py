"""What a run will take, and what it took.

`plan` and `plan_text` are behind `make plan`, `table` behind the table `cost`.
"""
