"""Multi-step operations as generators: what to send next and what the answers mean.

No I/O, clocks or randomness.

See `redrepl.values.effects` for the protocol between a plan and its driver.
"""
