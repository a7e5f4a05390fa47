"""CoNLL columns: a word per line with its tags in further columns, a blank line between sentences.

In goes a file's text, out come `RawSentence` sentences with the tags of one column. Schemes and labels are not known here.
"""

from __future__ import annotations

from sys import intern

from tfner.data.files import RawSentence, shorten
from tfner.errors import UserError

DOCUMENT_MARK = "-DOCSTART-"
_LAYOUTS = {4: "word POS chunk NER", 3: "word POS NER"}
_COLUMNS = {("pos", 4): 1, ("chunk", 4): 2, ("pos", 3): 1}  # task, number of columns: the column, counted from 0


def read_columns(text: str, name: str, task: str, tag_column: int | None = None) -> list[RawSentence]:
    """The sentences of a file's text; `name` stands for the file in messages.

    Columns are separated by a tab where a line has one and by spaces otherwise; no other white space separates, so that
    a no-break space can be a word. A line is blank if it is empty or only white space. A `-DOCSTART-` line starts a
    document and is no sentence; sentences before the first one are a document too. `tag_column` counts from 1 (the
    word), or from the end if negative.

    Raises UserError for ragged columns, for no sentence at all, and for a task whose column is not known.
    """
    found: list[RawSentence] = []
    words: list[str] = []
    tags: list[str] = []
    first_line = width = width_line = column = 0  # the first line that is not blank sets how many columns there are
    marked = starting = False  # a mark was seen; the next sentence starts a document
    document = 0

    def close() -> None:
        nonlocal starting, document
        if words:
            document += starting and bool(found)
            starting = False
            found.append(RawSentence(tuple(words), tuple(tags), document, first_line))
            words.clear()
            tags.clear()

    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: words may hold U+0085 or U+2028
        line = line.rstrip(" \t\r")
        if not line or line.isspace():
            close()
            continue
        cells = line.split("\t") if "\t" in line else line.split(" ")
        if "" in cells and "\t" not in line:
            cells = [cell for cell in cells if cell]
        if cells[0] == DOCUMENT_MARK:
            close()
            marked = starting = True
            continue
        if len(cells) != width:
            if width:
                raise UserError(
                    f"{name}:{number}: expected {width} columns as in line {width_line}, found {len(cells)}: {shorten(line)}; "
                    "mend the line (columns are separated by a tab or by spaces, sentences by a blank line)"
                )
            width, width_line = len(cells), number
            column = _tag_column(f"{name}:{number}", width, task, tag_column)
        if not words:
            first_line = number
        words.append(cells[0])
        tags.append(intern(cells[column]))
    close()
    if not found:
        raise UserError(f"{name}: expected a word and its tag per line, found no sentence; is it the right file?")
    return found if marked else [sentence._replace(document=None) for sentence in found]


def _tag_column(where: str, width: int, task: str, tag_column: int | None) -> int:
    """The column of the tags, counted from 0, in a file of `width` columns."""
    if width < 2:
        raise UserError(
            f"{where}: expected a word and at least one tag per line, separated by a tab or spaces, found one column; "
            "is it the right file?"
        )
    if tag_column is not None:
        column = tag_column - 1 if tag_column > 0 else width + tag_column
        if not 1 <= column < width:
            raise UserError(
                f"--tag-column {tag_column}: {where} has {width} columns and the first is the word; expected 2 to {width}, "
                f"or -1 to {1 - width} from the end"
            )
        return column
    if task == "ner":
        return width - 1
    if (task, width) not in _COLUMNS:
        known = " or ".join(f"{n} ({_LAYOUTS[n]})" for t, n in _COLUMNS if t == task)
        raise UserError(
            f"--task {task}: expected a file of {known} columns, {where} has {width}; say which column holds the tags by "
            f"--tag-column, 2 to {width}"
        )
    return _COLUMNS[task, width]
