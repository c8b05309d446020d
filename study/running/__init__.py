"""What the commands share when they train: rates as numbers, the search's loop, fixed lists of runs."""
