"""The stream: topics of records, read by consumer groups."""
