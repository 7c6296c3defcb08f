"""A story that never happened, played to the real service: feeds on one side, a mailbox and a webhook on the other."""
