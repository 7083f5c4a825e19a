"""Tell errors in what a user gave from mistakes of the program.

Tools print the first as a message that says what to do, the second with the
traceback that a report needs.
"""
from contextlib import contextmanager


@contextmanager
def input_errors():
    """Errors that are raised within are about what the user gave."""
    try:
        yield
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        error.about_input = True
        raise


def is_about_input(error: Exception) -> bool:
    """Whether an error is about what the user gave."""
    return getattr(error, 'about_input', False)
