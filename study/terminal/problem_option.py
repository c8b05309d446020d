"""``--problem``, where a study is gone on with: the user names the file again, because no database may have it run.

What trains (``confirm``) needs it; what only reads (``report``, ``audit``) looks with it whether the problem is still the same.
"""

from __future__ import annotations

from study.terminal.command import option

problem_option = option(
    "--problem",
    metavar="FILE.py:NAME",
    default=None,
    group="Records",
    help="The study's problem, if it is your own; or MODULE:NAME. The file is run, and refused if it has changed.",
)
