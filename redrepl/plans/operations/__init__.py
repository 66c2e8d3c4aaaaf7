"""Plans of clients: reading and writing."""
