"""The textbook chapter's own runs, over several seeds."""
