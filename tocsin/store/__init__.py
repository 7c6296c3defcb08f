"""State: one transaction at a time, cursor, state and output together."""
