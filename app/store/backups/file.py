"""The file of a backup: a Zstandard stream of JSON lines, written and read line by line.

The first line is the header. Then each table has a line with its name, columns and last id, and a line for each row:
the list of its values, bytes as base64 and times as ISO 8601. The last line has the number of rows of each table and
the SHA-256 of all lines before it, so that a file that was cut or changed is refused.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import IO, Any, NamedTuple

from backports.zstd import CompressionParameter, ZstdError, ZstdFile

from app.problems import ServiceError
from models.errors import excerpt
from models.json_types import JsonObject

FORMAT = 1
BATCH_ROWS, BATCH_BYTES = 500, 8 * 1024**2
MAX_LINE_BYTES = 2 * 1024**3  # a value of PostgreSQL has at most 1 GiB, as base64 a third more

Row = list[Any]


class DamagedBackup(ServiceError):
    """The file is no backup, or was cut or changed after it was written."""


@dataclass(frozen=True, slots=True)
class Header:
    """Schema of the database, and the release and time (ISO 8601) of a backup."""

    schema: str
    release: str
    made_at: str
    format: int = FORMAT


class TableHeader(NamedTuple):
    """A table of a backup. ``last_id``: greatest id that a row of it ever had; None if its ids are not numbers."""

    name: str
    columns: Sequence[str]
    last_id: int | None


class Summary(NamedTuple):
    """Header of a backup, and the number of rows of each table."""

    header: Header
    rows: dict[str, int]

    def __str__(self) -> str:
        of = self.header
        return f"{sum(self.rows.values())} rows of {of.made_at} with schema {of.schema} of release {of.release}"


class BackupWriter:
    """Writer of one backup to ``out``, which need not be seekable and stays open."""

    def __init__(self, out: IO[bytes], header: Header) -> None:
        self._stream = ZstdFile(out, "w", options={CompressionParameter.checksum_flag: 1})
        self._sha256, self._header, self._rows = hashlib.sha256(), header, dict[str, int]()
        self._write(asdict(header))

    def add_table(self, table: TableHeader, rows: Iterator[Sequence[Any]]) -> None:
        """Write a table and its rows, whose values are in the order of the columns."""
        self._write({"table": table.name, "columns": list(table.columns), "last_id": table.last_id})
        self._rows[table.name] = 0
        for row in rows:
            self._write(list(row))
            self._rows[table.name] += 1

    def close(self) -> Summary:
        """Write the last line."""
        self._write({"rows": self._rows, "sha256": self._sha256.hexdigest()})
        self._stream.close()
        return Summary(self._header, self._rows)

    def _write(self, line: JsonObject | Row) -> None:
        data = json.dumps(line, default=_to_json, separators=(",", ":")).encode() + b"\n"
        self._sha256.update(data)
        self._stream.write(data)


def _to_json(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return b64encode(value).decode()
    if isinstance(value, date):  # or datetime
        return value.isoformat()
    raise TypeError(f"a backup cannot hold a {type(value).__name__}")


class BackupReader:
    """Reader of one backup.

    Raises:
        DamagedBackup: at any time while it reads; that the file is whole is known when ``tables`` has ended.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._sha256 = ZstdFile(stream), hashlib.sha256()
        self._rows = dict[str, int]()
        header = self._next_line()
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise DamagedBackup(f"the file begins with {excerpt(header, 100)}: not a backup of format {FORMAT}")
        self.header = Header(str(header.get("schema")), str(header.get("release")), str(header.get("made_at")))

    def tables(self) -> Iterator[tuple[TableHeader, Iterator[list[Row]]]]:
        """Yield each table with batches of its rows."""
        line = self._next_line()
        while isinstance(line, dict) and "table" in line:
            try:
                table = TableHeader(str(line["table"]), [str(name) for name in line["columns"]], line["last_id"])
            except (KeyError, TypeError) as error:
                raise DamagedBackup(f"a table of the backup is described by {excerpt(line, 100)}") from error
            self._rows[table.name] = 0
            batches = self._batches(table)
            yield table, batches
            for _ in batches:  # those that the caller has not read
                pass
            line = self._after_rows
        expected = {"rows": self._rows, "sha256": self._digest_before}
        if line != expected or self._read(1):
            raise DamagedBackup("the backup does not have the rows or the SHA-256 that its last line states")

    def _batches(self, table: TableHeader) -> Iterator[list[Row]]:
        """Yield the rows of a table, and keep the line after them."""
        rows: list[Row] = []
        size_bytes = 0
        while isinstance(line := self._next_line(), list):
            if len(line) != len(table.columns):
                raise DamagedBackup(f"a row of the table {excerpt(table.name)} has {len(line)} values")
            rows.append(line)
            size_bytes += self._line_bytes
            self._rows[table.name] += 1
            if len(rows) == BATCH_ROWS or size_bytes >= BATCH_BYTES:
                yield rows
                rows, size_bytes = [], 0
        self._after_rows = line
        if rows:
            yield rows

    def _next_line(self) -> JsonObject | Row:
        data = self._read(MAX_LINE_BYTES)
        self._digest_before, self._line_bytes = self._sha256.hexdigest(), len(data)
        self._sha256.update(data)
        try:
            line: JsonObject | Row = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise DamagedBackup(f"the backup has a line that cannot be read: {excerpt(data, 100)}") from error
        return line

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.readline(size)
        except (EOFError, ZstdError) as error:
            raise DamagedBackup(f"the file is no backup, or was cut or changed: {error}") from error


def check_backup(stream: IO[bytes]) -> Summary:
    """Read a whole backup and return what it holds. Raise DamagedBackup."""
    reader = BackupReader(stream)
    rows = {table.name: sum(map(len, batches)) for table, batches in reader.tables()}
    return Summary(reader.header, rows)
