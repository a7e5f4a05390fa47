"""What a user can mend is a ``UserError``; every other exception is a defect of tfner's and keeps its traceback."""


class UserError(ValueError):
    """A mistake in what was asked for: the message says what was expected, what came, and what to do, in one line."""
