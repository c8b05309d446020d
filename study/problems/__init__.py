"""What is trained: the default problem, and those of users."""

from study.problems.problem import Problem

__all__ = ["Problem"]
