"""gzip and zstd, piece by piece: whatever they are given, no more room than was asked for."""

import gzip
import tracemalloc
import zlib
from collections.abc import Sequence

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from app.edge.compression import GZIP, MAX_MEMBERS, PACKERS, WINDOW_LOG, BadPacking, Unpacker

CODINGS = ("gzip", "zstd")
CODED = pytest.mark.parametrize("coding", CODINGS)


def packed(coding: str, data: bytes) -> bytes:
    """``data`` as other programs pack it."""
    return gzip.compress(data) if coding == "gzip" else zstd.compress(data)


def unpacked(coding: str, pieces: Sequence[bytes], most_bytes: int = 1000) -> bytes:
    """What comes of the pieces, of which there must be an end."""
    unpacker, whole = Unpacker(coding), b""
    for piece in pieces:
        unpacker.feed(piece)
        while data := unpacker.read(most_bytes):
            assert len(data) <= most_bytes
            whole += data
    assert unpacker.is_empty
    return whole


@given(
    st.lists(st.binary(max_size=300) | st.builds(bytes, st.integers(0, 5000)), max_size=4),
    st.sampled_from(CODINGS),
    st.integers(1, 400),
    st.integers(1, 3000),
)
def test_members_are_read_one_after_another_however_they_are_cut(
    parts: list[bytes], coding: str, size: int, most_bytes: int
) -> None:
    data = b"".join(packed(coding, part) for part in parts)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert unpacked(coding, pieces, most_bytes) == b"".join(parts)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.sampled_from(CODINGS))
def test_every_piece_that_is_packed_can_be_read_as_soon_as_it_is_there(parts: list[bytes], coding: str) -> None:
    pack, unpacker = PACKERS[coding](True), Unpacker(coding)
    for i, part in enumerate(parts):
        unpacker.feed(pack(part, i == len(parts) - 1))
        assert b"".join(iter(lambda: unpacker.read(1000), b"")) == part
    assert unpacker.is_empty


@given(st.binary(max_size=3000), st.sampled_from(CODINGS))
def test_what_is_packed_whole_is_one_member(data: bytes, coding: str) -> None:
    made = PACKERS[coding](False)(data, True)
    assert {"gzip": gzip.decompress, "zstd": zstd.decompress}[coding](made) == data


@CODED
def test_a_bomb_is_unpacked_no_further_than_it_is_asked_for(coding: str) -> None:
    bomb = packed(coding, bytes(64 * 1024**2))
    assert len(bomb) < 70_000
    unpacker = Unpacker(coding)
    unpacker.feed(bomb)
    tracemalloc.start()
    try:
        assert [len(unpacker.read(1000)) for _ in range(3)] == [1000] * 3
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()
    assert not unpacker.is_empty


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
    ids=["not packed", "garbage behind", "zeros behind", "a byte is wrong", "the end is wrong", "deflate"],
)
def test_what_is_damaged_is_refused(coding: str, damage: object) -> None:
    options = {zstd.CompressionParameter.checksum_flag: 1}
    data = b"".join(str(i).encode() for i in range(500))
    good = gzip.compress(data) if coding == "gzip" else zstd.compress(data, options=options)
    assert unpacked(coding, [good]) == data
    with pytest.raises(BadPacking, match=f"it is not {coding}, damaged, or"):
        unpacked(coding, [damage(good)])  # type: ignore[operator]


@CODED
def test_what_is_cut_short_is_not_empty(coding: str) -> None:
    data = packed(coding, b"".join(str(i).encode() for i in range(500)))
    for length in range(1, len(data)):
        unpacker = Unpacker(coding)
        unpacker.feed(data[:length])
        while unpacker.read(1000):
            pass
        assert not unpacker.is_empty


def test_all_that_has_come_can_be_read_before_the_end_has() -> None:
    data = gzip.compress(bytes(100_000))
    unpacker = Unpacker("gzip")
    unpacker.feed(data[:-9])  # what is left holds no more of it; the last pieces come of no more input, too
    assert sum(len(piece) for piece in iter(lambda: unpacker.read(990), b"")) == 100_000
    assert not unpacker.is_empty


@CODED
def test_there_is_a_most_of_members(coding: str) -> None:
    member = packed(coding, b"x")
    assert unpacked(coding, [member * MAX_MEMBERS]) == b"x" * MAX_MEMBERS
    with pytest.raises(BadPacking, match="over 1000 parts"):
        unpacked(coding, [member * MAX_MEMBERS, member])


def test_empty_members_and_frames_that_hold_nothing_are_passed_over() -> None:
    assert unpacked("gzip", [packed("gzip", b"") * 3 + packed("gzip", b"x")]) == b"x"
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    assert unpacked("zstd", [skippable + packed("zstd", b"x") + skippable]) == b"x"


@pytest.mark.parametrize(("more", "sound"), [(0, True), (1, False)])
def test_no_frame_of_zstd_takes_a_larger_window_than_the_coding_allows(more: int, sound: bool) -> None:
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: WINDOW_LOG + more})
    data = packer.compress(b"x", packer.FLUSH_BLOCK) + packer.flush()  # in two, so that the frame cannot know its size
    if sound:
        assert unpacked("zstd", [data]) == b"x"
    else:
        with pytest.raises(BadPacking, match="a window of over 8 MiB"):
            unpacked("zstd", [data])


def test_gzip_is_gzip_and_neither_bare_deflate_nor_a_guess() -> None:
    assert GZIP == 31
    bare = zlib.compressobj(wbits=-15)
    with pytest.raises(BadPacking):
        unpacked("gzip", [bare.compress(b"x" * 500) + bare.flush()])
