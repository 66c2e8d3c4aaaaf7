"""Where redrepl touches the world: connections, drivers, scripts, clocks, the wake-up queue,
configuration files.
"""
