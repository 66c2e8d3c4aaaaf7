"""Plans that bring nodes back after a restart, an outage or a loss, and tell when that is
needed.
"""
