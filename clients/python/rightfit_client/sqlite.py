"""Which SQLite: the newest that is installed.

sqlite-utils takes `pysqlite3` where it is there (a current SQLite in its wheel), else the interpreter's own;
both have the same names.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    from sqlite_utils.utils import sqlite3

__all__ = ["sqlite3"]
