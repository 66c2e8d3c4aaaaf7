"""The protocol of one client: each operation of a coordinator as a plan, and what a client knows of
its cluster.
"""
