"""ZIP archive that is made while it is sent, with the SHA-256 of each of its files."""

import io
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

PIECE_BYTES = 256 * 1024
CHECKSUMS = "checksums.sha256"  # the last file: lines for the command sha256sum


class PieceBuffer(io.RawIOBase):
    """File whose content is taken out while it is written; it counts all bytes, so that positions are right."""

    def __init__(self) -> None:
        super().__init__()
        self._content, self._size_bytes = bytearray(), 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Take all of ``data``, any buffer of bytes."""
        view = memoryview(data).cast("B")
        self._content += view
        self._size_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self._size_bytes

    def take(self, at_least_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
        """Yield what was written since the last time, if it has so many bytes."""
        if len(self._content) >= max(1, at_least_bytes):
            piece = bytes(self._content)
            self._content.clear()
            yield piece


def zip_files(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a ZIP archive of ``files``, paths with their content in pieces, and a list of their checksums.

    One piece of the content is in memory at a time. An archive that was cut off has no directory at its end, so no
    program takes it for complete.
    """
    buffer, lines = PieceBuffer(), list[str]()
    with ZipFile(cast(BinaryIO, buffer), "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for path, content in files:
            digest = sha256()
            with archive.open(_entry(path), "w", force_zip64=True) as file:
                for piece in content:
                    digest.update(piece)
                    file.write(piece)
                    yield from buffer.take()
            lines.append(f"{digest.hexdigest()}  {path}\n")
        archive.writestr(_entry(CHECKSUMS), "".join(lines))
    yield from buffer.take(0)


def _entry(path: str) -> ZipInfo:
    entry = ZipInfo(path)  # without the time of its making: equal content gives equal bytes
    entry.compress_type = ZIP_DEFLATED
    entry.external_attr = 0o600 << 16  # readable by its owner only
    return entry
