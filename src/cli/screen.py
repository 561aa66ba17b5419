"""How results are printed: in columns that fit a terminal, in whole lines where the output is a file or a pipe."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..names import shown

LEAST = 24
"""Width of the column of names in the narrowest of terminals."""
WIDEST = 1_000_000
ELLIPSIS = "…"
SHORTENED = f"Names with {ELLIPSIS} are shortened: a pipe, a file or --json gets them in full."


def is_terminal(console: Console) -> bool:
    """Return whether people read the output as it is printed, and not a file or another program."""
    return console.file.isatty()


def print_text(console: Console, text: str) -> None:
    """Print a sentence: wrapped between words in a terminal, where paths stay whole to be copied, else as one line."""
    text = shown(text)
    if is_terminal(console):
        text = textwrap.fill(
            text, console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def print_columns(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, one line a row; in a terminal, names in the first column are shortened to make it fit.

    Names that would look the same when shortened are printed in full, over several lines.

    Args:
        console: where to.
        heads: of the columns.
        rows: of texts; the first of each is a name.
    """
    names, *columns = ([_line(text) for text in column] for column in zip(*rows, strict=True))
    cells = [*zip(*columns, strict=True)]
    if not is_terminal(console):
        whole = _table(heads, names, cells)
        Console(file=console.file, width=_width(whole)).print(whole)
        return
    rest = _width(_table(heads, [""] * len(names), cells)) - cell_len(heads[0])
    width = max(LEAST, console.width - rest)
    short = shortened(names, width)
    console.print(_table(heads, short, cells, width), highlight=False)
    if any(name != whole for name, whole in zip(short, names, strict=True)):
        print_text(console, SHORTENED)


def shortened(names: Sequence[str], width: int) -> list[str]:
    """Return names of at most ``width`` columns, without their middle; those that would look the same stay whole."""
    short = [_shorten(name, width) for name in names]
    count = Counter(short)
    return [one if count[one] == 1 else name for one, name in zip(short, names, strict=True)]


def _shorten(name: str, width: int) -> str:
    """Return a name of at most ``width`` columns: a third of them for its start, the rest for its end."""
    if cell_len(name) <= width:
        return name
    start = _fitting(name, (width - 1) // 3)
    end = _fitting(name[::-1], width - 1 - cell_len(start))[::-1]
    return f"{start}{ELLIPSIS}{end}"


def _fitting(text: str, width: int) -> str:
    """Return as many of the first characters as fit; some take two columns."""
    while cell_len(text) > width:
        text = text[: min(width, len(text) - 1)]
    return text


def _line(text: str) -> str:
    return shown(text).replace("\n", " ")


def _width(table: Table) -> int:
    """Return how wide a table is if nothing limits it."""
    return Console(width=WIDEST).measure(table).maximum


def _table(
    heads: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[str]], width: int | None = None
) -> Table:
    table = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
    table.add_column(heads[0], overflow="fold", max_width=width)
    for head in heads[1:]:
        table.add_column(head, no_wrap=True)
    for name, row in zip(names, cells, strict=True):
        table.add_row(Text(name), *map(Text, row))
    return table
