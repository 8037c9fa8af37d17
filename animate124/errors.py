"""The one exception for what a user can mend."""


class UserError(Exception):
    """A fault the user can mend: one sentence that says what, where and the remedy.

    The command line prints the sentence without a traceback and exits with status 2.
    """
