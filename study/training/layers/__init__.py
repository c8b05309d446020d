"""Layers that CPUs are faster at than with torch's own; elsewhere torch's own."""
