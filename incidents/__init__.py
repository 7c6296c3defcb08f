"""Readings in, alerts out: what is already known, and what is a new step."""
