"""The loops of the commands: search, fixed runs, confirmation."""
