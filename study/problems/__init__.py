"""What is trained: data, and later models, of a problem."""
