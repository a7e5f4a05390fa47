"""What a user can mend is a ``UserError``; every other exception is a defect of tfner's and keeps its traceback."""


class UserError(ValueError):
    """A mistake in what was asked for: the message says what was expected, what came, and what to do, in one line."""


def one_line(text: object, most: int = 200) -> str:
    """A message of another library in one line, of about ``most`` characters at most, cut between words with three dots."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[:most].rsplit(" ", 1)[0] + " ..."
