"""Tables that people bring and take away: CSV, TSV, TXT, XLSX, XLS, ODS in; CSV and XLSX out.

`encoding` finds out what the bytes are, `delimited` and `workbook` read rows (`unpacking` in a process of its own),
`source` is the one door to both, `columns` guesses which column is which,
`writing` writes what a spreadsheet opens safely. Nothing here knows a model.
"""

from .columns import guess_columns
from .source import Source, TableFile, change, detect
from .writing import safe_cell, to_csv

__all__ = ["Source", "TableFile", "change", "detect", "guess_columns", "safe_cell", "to_csv"]
