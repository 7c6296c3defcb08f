"""Tocsin watches news feeds and rings once per step of an escalation."""
