"""Feeds in, articles out: schedule, fetch, parse, identify, and accept in one unit of work."""
