"""Bringing nodes back: after a restart, an outage, a loss, and with all of them down; and when that is needed."""
