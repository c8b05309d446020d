"""Learning rates over time, one file a plot: the winner, the best of all, each family."""
