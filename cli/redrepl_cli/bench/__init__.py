"""`redrepl bench`: what redrepl's operations cost beside redis-py's own and native replication,
measured in one run.

A *subject* is one thing to time; a *group* is the subjects that take turns, in another order each
round, so that all meet the same noise. A group has servers of its own and measures its baselines
again: ratios never leave a group.
"""
