"""The one exception that a user can cause; the command line prints it without a traceback."""


class DfPolicyError(Exception):
    """The user can mend it: the message says what was expected, what came, what to do."""
