"""The lesson, measured: an experiment for each of its claims, the runs, and the runner.

`make claims` runs what is missing. Each `claim_*.py` states, before anything has run, what the
lesson says, what would refute it, and how it is measured; results/ holds what came out.
"""
