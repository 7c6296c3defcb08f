"""Rules of level four as a stranger might write them: one never ends, one takes 4 GB, one crashes the interpreter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.records import Article, Detection


def loops(article: Article) -> list[Detection]:
    while "LOOP" in article.title:
        pass
    return []


def takes_memory(article: Article) -> list[Detection]:
    if "GREEDY" in article.title:
        taken = bytearray(4 * 2**30)
        taken[:: 2**12] = b"x" * len(taken[:: 2**12])
    return []


def crashes(article: Article) -> list[Detection]:
    if "CRASH" in article.title:
        os.abort()
    return []
