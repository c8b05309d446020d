"""Text of others in one line of ours: nothing in it steers a terminal, and it is as long as a line may be."""

from __future__ import annotations

import re

#: Characters that an error's line may have.
LONGEST_LINE = 300
#: Characters of a value that are shown of it.
LONGEST_VALUE = 60
_CUT = "..."


def printable(text: str) -> str:
    """Return ``text`` on one line, without what would steer a terminal."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "�" for c in text)


def short(value: object, most: int = LONGEST_VALUE) -> str:
    """Return a value as text of at most ``most`` characters; the end is left out, and that is shown.

    A whole number of thousands of digits is not spelt out, which Python refuses to do.
    """
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a number of {int(value.bit_length() * 0.30103):,} digits"
    text = printable(str(value))
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def one_line(message: str, most: int = LONGEST_LINE) -> str:
    """Return a message as one printable line of at most ``most`` characters.

    What is quoted in it is shortened first, the longest most, because the fix stands at the end of a message.
    """
    line = " ".join(printable(message).split())
    if len(line) > most:
        line = re.sub(r"'([^']{40,})'|(\S{80,})", lambda found: _shortened(found[0]), line)
    return line if len(line) <= most else line[: most - len(_CUT)] + _CUT


def _shortened(quoted: str) -> str:
    end = "'" if quoted.endswith("'") else ""
    return quoted[:40] + _CUT + end
