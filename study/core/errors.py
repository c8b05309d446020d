"""The one error that a user's input can cause."""


class InputError(ValueError):
    """Something the user gave cannot be used: one line that names the value, the rule and the fix.

    An argument is named in backticks: ```storage` 'sqlite:///runs' is a folder``. Commands put the
    argument's flag in its place, print ``error: --storage 'sqlite:///runs' is a folder`` and exit with
    code 2, without a traceback.
    """
