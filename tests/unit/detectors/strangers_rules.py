"""A rule of level four, as somebody outside this house would write it."""

from __future__ import annotations

from tocsin.records import Article, Certainty, Detection

LONG = 10


def found_by_code(article: Article) -> list[Detection]:
    return [Detection(type="long", certainty=Certainty.CONFIRMED, rule="long")] if len(article.text) > LONG else []
