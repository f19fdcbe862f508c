"""Hashes of a file while its bytes go by."""

import hashlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from storage.digest import ContentHash

DATA_SET = bytes(range(256)) * 3


def part10(meta_length: int, content: bytes = DATA_SET) -> bytes:
    """Preamble, prefix, group length and as many bytes of meta information as it says (PS3.10 7.1)."""
    group_length = b"\x02\x00\x00\x00UL\x04\x00" + meta_length.to_bytes(4, "little")
    return bytes(128) + b"DICM" + group_length + b"m" * meta_length + content


def hashed(file: bytes, cuts: list[int], *, skip_header: bool = True) -> ContentHash:
    digest = ContentHash(skip_header=skip_header, with_whole=True)
    for start, end in pairwise([0, *sorted(min(cut, len(file)) for cut in cuts), len(file)]):
        digest.update(file[start:end])
    return digest


@given(st.integers(0, 400), st.lists(st.integers(0, 1400), max_size=6))
def test_the_content_is_the_data_set_however_the_bytes_come(meta_length: int, cuts: list[int]) -> None:
    digest = hashed(part10(meta_length), cuts)
    assert digest.content == hashlib.sha256(DATA_SET).hexdigest()


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_bytes_without_a_header_are_all_content(file: bytes, cuts: list[int]) -> None:
    digest = hashed(file, cuts)
    assert digest.content == digest.whole == hashlib.sha256(file).hexdigest()
    assert digest.size_bytes == len(file)


def test_another_header_is_the_same_content_in_another_file() -> None:
    one, other = hashed(part10(10), []), hashed(part10(12), [])
    assert one.content == other.content
    assert one.whole != other.whole
    assert one.seal != other.seal


@given(st.integers(0, 400), st.lists(st.integers(0, 1400), max_size=6), st.integers(0, 1100))
def test_a_seal_is_the_same_however_the_bytes_come_and_another_for_each_other_byte(
    meta_length: int, cuts: list[int], where: int
) -> None:
    file = bytearray(part10(meta_length))
    seal = hashed(bytes(file), cuts).seal
    assert seal == hashed(bytes(file), []).seal
    file[where % len(file)] ^= 1
    assert seal != hashed(bytes(file), cuts).seal


def test_a_header_that_claims_more_than_the_file_holds_leaves_no_content() -> None:
    lying = part10(200)[:300]
    assert hashed(lying, []).content == hashlib.sha256(b"").hexdigest()


def test_a_result_is_hashed_as_a_whole() -> None:
    file = part10(10)
    assert hashed(file, [], skip_header=False).content == hashlib.sha256(file).hexdigest()


def test_memory_of_any_item_size_counts_in_bytes() -> None:
    digest = ContentHash(skip_header=False)
    digest.update(memoryview(b"abcdefgh").cast("I"))
    assert digest.size_bytes == 8
    assert digest.content == hashlib.sha256(b"abcdefgh").hexdigest()
