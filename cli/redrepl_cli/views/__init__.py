"""Turning results into tables and JSON."""
