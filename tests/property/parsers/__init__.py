"""Every place where text or bytes from outside become values, with the errors that may come out of
it.
"""
