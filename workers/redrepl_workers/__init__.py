"""The background side of redrepl: the RQ job that brings nodes up, the worker process, and its
tick.
"""
