"""gzip and zstd, piece by piece, in bounded memory."""

import gzip
import tracemalloc
import zlib
from collections.abc import Sequence

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from app.edge.compression import COMPRESSORS, GZIP, MAX_MEMBERS, WINDOW_LOG, BadCompressedData, Decompressor

CODINGS = ("gzip", "zstd")
CODED = pytest.mark.parametrize("coding", CODINGS)


def compressed(coding: str, data: bytes) -> bytes:
    """Return ``data`` compressed in one call of the standard library."""
    return gzip.compress(data) if coding == "gzip" else zstd.compress(data)


def decompressed(coding: str, pieces: Sequence[bytes], max_bytes: int = 1000) -> bytes:
    """Return the decompressed pieces; they must end at the end of a member."""
    decompressor, whole = Decompressor(coding), b""
    for piece in pieces:
        decompressor.feed(piece)
        while data := decompressor.read(max_bytes):
            assert len(data) <= max_bytes
            whole += data
    assert decompressor.is_empty
    return whole


@given(
    st.lists(st.binary(max_size=300) | st.builds(bytes, st.integers(0, 5000)), max_size=4),
    st.sampled_from(CODINGS),
    st.integers(1, 400),
    st.integers(1, 3000),
)
def test_members_are_read_one_after_another_however_they_are_cut(
    parts: list[bytes], coding: str, size: int, max_bytes: int
) -> None:
    data = b"".join(compressed(coding, part) for part in parts)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert decompressed(coding, pieces, max_bytes) == b"".join(parts)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.sampled_from(CODINGS))
def test_every_compressed_piece_can_be_read_on_arrival(parts: list[bytes], coding: str) -> None:
    compress, decompressor = COMPRESSORS[coding](True), Decompressor(coding)
    for i, part in enumerate(parts):
        decompressor.feed(compress(part, i == len(parts) - 1))
        assert b"".join(iter(lambda: decompressor.read(1000), b"")) == part
    assert decompressor.is_empty


@given(st.binary(max_size=3000), st.sampled_from(CODINGS))
def test_a_body_compressed_as_a_whole_is_one_member(data: bytes, coding: str) -> None:
    made = COMPRESSORS[coding](False)(data, True)
    assert {"gzip": gzip.decompress, "zstd": zstd.decompress}[coding](made) == data


@CODED
def test_a_compression_bomb_is_read_only_as_far_as_requested(coding: str) -> None:
    bomb = compressed(coding, bytes(64 * 1024**2))
    assert len(bomb) < 70_000
    decompressor = Decompressor(coding)
    decompressor.feed(bomb)
    tracemalloc.start()
    try:
        assert [len(decompressor.read(1000)) for _ in range(3)] == [1000] * 3
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()
    assert not decompressor.is_empty


@CODED
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"{" + data,
        lambda data: data + b"garbage",
        lambda data: data + bytes(8),
        lambda data: data[:12] + bytes([data[12] ^ 255]) + data[13:],
        lambda data: data[:-6] + bytes(6),
        lambda data: zlib.compress(b"x" * 500),
    ],
    ids=["not compressed", "garbage after the end", "zeros after the end", "a wrong byte", "a wrong end", "deflate"],
)
def test_damaged_data_are_refused(coding: str, damage: object) -> None:
    options = {zstd.CompressionParameter.checksum_flag: 1}
    data = b"".join(str(i).encode() for i in range(500))
    good = gzip.compress(data) if coding == "gzip" else zstd.compress(data, options=options)
    assert decompressed(coding, [good]) == data
    with pytest.raises(BadCompressedData, match=f"it is not {coding}, is damaged, or"):
        decompressed(coding, [damage(good)])  # type: ignore[operator]


@CODED
def test_after_a_truncated_member_the_decompressor_is_not_empty(coding: str) -> None:
    data = compressed(coding, b"".join(str(i).encode() for i in range(500)))
    for length in range(1, len(data)):
        decompressor = Decompressor(coding)
        decompressor.feed(data[:length])
        while decompressor.read(1000):
            pass
        assert not decompressor.is_empty


def test_all_data_can_be_read_before_the_end_of_the_member_arrives() -> None:
    data = gzip.compress(bytes(100_000))
    decompressor = Decompressor("gzip")
    decompressor.feed(data[:-9])  # the rest holds no data; the last pieces need no more input
    assert sum(len(piece) for piece in iter(lambda: decompressor.read(990), b"")) == 100_000
    assert not decompressor.is_empty


@CODED
def test_the_number_of_members_is_limited(coding: str) -> None:
    member = compressed(coding, b"x")
    assert decompressed(coding, [member * MAX_MEMBERS]) == b"x" * MAX_MEMBERS
    with pytest.raises(BadCompressedData, match="over 1000 parts"):
        decompressed(coding, [member * MAX_MEMBERS, member])


def test_empty_members_and_skippable_frames_are_ignored() -> None:
    assert decompressed("gzip", [compressed("gzip", b"") * 3 + compressed("gzip", b"x")]) == b"x"
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    assert decompressed("zstd", [skippable + compressed("zstd", b"x") + skippable]) == b"x"


@pytest.mark.parametrize(("more", "is_valid"), [(0, True), (1, False)])
def test_no_frame_of_zstd_takes_a_larger_window_than_the_coding_allows(more: int, is_valid: bool) -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: WINDOW_LOG + more})
    data = (
        compressor.compress(b"x", compressor.FLUSH_BLOCK) + compressor.flush()
    )  # in two parts, so that the frame does not state its size
    if is_valid:
        assert decompressed("zstd", [data]) == b"x"
    else:
        with pytest.raises(BadCompressedData, match="a window of over 8 MiB"):
            decompressed("zstd", [data])


def test_bare_deflate_is_not_accepted_as_gzip() -> None:
    assert GZIP == 31
    bare = zlib.compressobj(wbits=-15)
    with pytest.raises(BadCompressedData):
        decompressed("gzip", [bare.compress(b"x" * 500) + bare.flush()])
