"""What people see of a study: figures, sentences, one page."""
