"""Which schedule, rate and warm-up a trial trains, and when it is stopped."""
