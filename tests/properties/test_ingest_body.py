from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import brotli
from hypothesis import given, strategies as st

from ingest.body import BodyRefused, read_body

PACKERS = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}


async def in_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(data: bytes, *, encoding: str, size: int = 7, limit: int = 10_000_000) -> bytes:
    return asyncio.run(read_body(in_chunks(data, size), encoding=encoding, limit=limit, ratio_limit=100))


@given(body=st.binary(max_size=3000), encoding=st.sampled_from(sorted(PACKERS)), size=st.integers(1, 500))
def test_what_was_packed_is_unpacked_however_it_is_cut(body: bytes, encoding: str, size: int) -> None:
    assert read(PACKERS[encoding](body), encoding=encoding, size=size) == body


@given(garbage=st.binary(max_size=300), encoding=st.sampled_from(sorted(PACKERS)))
def test_garbage_is_refused_or_read_and_nothing_else(garbage: bytes, encoding: str) -> None:
    try:
        read(garbage, encoding=encoding)
    except BodyRefused:
        return


@given(one=st.binary(max_size=200), two=st.binary(max_size=200))
def test_gzip_members_follow_one_another(one: bytes, two: bytes) -> None:
    assert read(gzip.compress(one) + gzip.compress(two), encoding="gzip") == one + two


@given(size=st.integers(1, 5000))
def test_the_limit_holds_whatever_the_packing(size: int) -> None:
    for encoding, pack in PACKERS.items():
        try:
            body = read(pack(b"x" * size), encoding=encoding, limit=1000)
        except BodyRefused:
            assert size > 1000
        else:
            assert len(body) == size <= 1000
