"""What the records say: statistics as pure functions, and figures."""
