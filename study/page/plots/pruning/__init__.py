"""What pruning did, and why: one file a plot."""
