"""What is trained: the default problem, and those of users."""

from study.problems.definition import Problem

__all__ = ["Problem"]
