"""``--problem``, where a study is gone on with: the user names the file again, because no database may have it run."""

from __future__ import annotations

from study.terminal.command import option

problem_option = option(
    "--problem",
    metavar="FILE.py:NAME",
    default=None,
    group="Records",
    help="The study's problem, if it is your own; or MODULE:NAME. The file is run, and refused if it has changed.",
)
