"""Alerts in, messages out: who is told of what, in which words, and that it arrives."""
