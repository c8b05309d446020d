"""Which schedule, rate and warm-up a trial is asked to train, and when it is stopped."""
