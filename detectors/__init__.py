"""Reads articles and says what they state; pure functions of text, with all knowledge of language in `config/`."""
