"""Tables as people have them: CSV of any dialect, JSON, Parquet, Arrow and Excel, with columns of any name.

A reader makes a ``RawTable`` of the bytes; ``roles`` recognises which columns are the id, the time and the values;
``long_rows`` reads the cells, and ``panel_table`` joins these steps. Row numbers in errors are those of the file: a
header counts.
"""

from app.tables.options import TableOptions
from app.tables.panel_table import Before, TablePanel
from app.tables.readers import read_file, read_table
from app.tables.reading import TableReading

__all__ = ["Before", "TableOptions", "TablePanel", "TableReading", "read_file", "read_table"]
