"""The error that a person can mend: bad input, wrong file, impossible request."""


class InputError(ValueError):
    """Bad input, said in one or two sentences: what, where, what is allowed, how to mend it.

    The command line prints the sentence alone and ends with exit code 2; anything else that is raised is a bug
    and keeps its traceback.
    """
