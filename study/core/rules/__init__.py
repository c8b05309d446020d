"""When a trial is stopped: by the median of the others, or by a forecast of its end."""
