"""The one error that a user's input can cause."""


class InputError(ValueError):
    """Something the user gave cannot be used: one line that names the value and the fix.

    Commands print it as ``error: ...`` and exit with code 2, without a traceback.
    """
