"""Stages that stand between rooms: detecting, archiving, housekeeping."""
