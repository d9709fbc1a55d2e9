"""The one exception that the command line turns into one line."""


class UserError(Exception):
    """Something the user can put right; the message says what is wrong and what to do.

    The command line prints it without a traceback and exits with 2.
    """
