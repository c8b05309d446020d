"""The page's figures, one file a plot: its data, its figure and its description."""
