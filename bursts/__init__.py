"""Readings in, readings out: an unusual volume of articles for a country and topic, against its own history."""
