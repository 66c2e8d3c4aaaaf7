"""Plans that begin a new epoch: who is a member, and who the primary, and when that is to
change.
"""
