"""Pruning rules, replayed."""
