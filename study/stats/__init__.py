"""What the records say, as pure functions."""
