from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st

from ingest.identity import URL_LIMIT_BYTES, Change, Known, Match, clean_url, content_key, identify, match, url_key
from ingest.parse import Entry
from tocsin.testing import HOUR, MINUTE, NOON

SLUGS = st.text(alphabet="abcdefghij-0123456789", min_size=1, max_size=12).filter(lambda slug: slug.strip("-"))
WORDS = st.text(alphabet="abcdeé ", min_size=1, max_size=20).filter(str.strip)
TRACKING = st.lists(
    st.sampled_from(["utm_source=rss", "utm_medium=x", "fbclid=1", "at_medium=RSS", "xtor=RSS-1", "wt_mc=rss", "cmp=z"])
)


def entry(number: int, **parts: str | None) -> Entry:
    given = {"id": f"guid-{number}", "url": f"https://n.example/{number}", "title": f"title {number}", **parts}
    return Entry(**given)  # type: ignore[arg-type]  # a test names the parts that it is about


def known(found: Match) -> Known:
    return Known(
        id=found.id,
        guid=found.item.by_guid,
        url_key=found.item.url_key,
        content=found.item.content,
        revision=found.revision,
        title=found.item.entry.title,
        previous=found.previous,
        changed_at=NOON,
    )


class Memory:
    """A feed as the store remembers it."""

    def __init__(self) -> None:
        self.rows: dict[str, Known] = {}
        self.churn = False

    def poll(self, *entries: Entry, later: timedelta = HOUR) -> list[Match]:
        items = identify("wire", entries)
        matches, self.churn = match(items, self.rows.values(), guids_churn=self.churn, now=NOON + later)
        for found in matches:
            if found.change is not Change.SAME:
                self.rows[found.id] = known(found)
        return matches


def changes(matches: list[Match]) -> list[Change]:
    return [found.change for found in matches]


@given(numbers=st.lists(st.integers(0, 30), max_size=20))
def test_a_document_seen_again_changes_nothing(numbers: list[int]) -> None:
    memory = Memory()
    entries = [entry(number) for number in numbers]

    memory.poll(*entries)

    assert set(changes(memory.poll(*entries))) <= {Change.SAME}
    assert len(memory.rows) == len(set(numbers))


@given(
    titles=st.lists(
        st.tuples(WORDS, st.sampled_from(["g1", "g2", None]), st.sampled_from(["/a", "/b", None])), max_size=8
    )
)
def test_no_entry_is_lost_whatever_names_it_shares(titles: list[tuple[str, str | None, str | None]]) -> None:
    entries = [Entry(id=guid, url=path and f"http://n.example{path}", title=title) for title, guid, path in titles]
    memory = Memory()

    matches = memory.poll(*entries)

    told = {found.item.content for found in matches}
    assert told == {content_key(each.title, "", "") for each in entries}
    assert set(changes(memory.poll(*entries))) <= {Change.SAME}


@given(window=st.integers(1, 12), steps=st.lists(st.integers(0, 4), max_size=6))
def test_a_sliding_window_tells_each_article_once(window: int, steps: list[int]) -> None:
    memory, top, told = Memory(), window, 0
    told += len(memory.poll(*(entry(number) for number in range(top))))

    for step in steps:
        top += step
        told += changes(memory.poll(*(entry(number) for number in range(top - window, top)))).count(Change.NEW)

    assert told == len(memory.rows)
    assert told <= top


def test_an_edited_title_is_a_revision() -> None:
    memory = Memory()
    (first,) = memory.poll(entry(1, title="Five dead"))

    (second,) = memory.poll(entry(1, title="Seven dead"))

    assert (second.id, second.change, second.supersedes) == (first.id, Change.REVISED, first.revision)


def test_a_title_that_is_taken_back_is_a_further_revision() -> None:
    memory = Memory()
    memory.poll(entry(1, title="Five dead"))
    memory.poll(entry(1, title="Seven dead"))

    (third,) = memory.poll(entry(1, title="Five dead"))

    assert third.change is Change.REVISED
    assert third.revision not in {third.supersedes, content_key("Five dead", "", "")}


def test_two_caches_that_disagree_are_no_news_each_time() -> None:
    memory = Memory()
    memory.poll(entry(1, title="Five dead"))
    memory.poll(entry(1, title="Seven dead"))

    (third,) = memory.poll(entry(1, title="Five dead"), later=MINUTE)

    assert third.change is Change.SAME


def test_a_clock_that_was_set_back_makes_no_edit_look_like_two_caches() -> None:
    memory = Memory()
    memory.poll(entry(1))
    memory.poll(entry(1, title="Zwölf Tote"))

    back = memory.poll(entry(1), later=-HOUR)

    assert changes(back) == [Change.REVISED]


def test_a_moved_address_is_the_same_article_when_the_guid_stays() -> None:
    memory = Memory()
    (first,) = memory.poll(entry(1))

    (second,) = memory.poll(entry(1, url="https://n.example/elsewhere"))

    assert (second.id, second.change) == (first.id, Change.SAME)


def test_guids_that_churn_are_found_out_and_no_longer_used() -> None:
    memory = Memory()
    memory.poll(*(entry(number, id=f"first-{number}") for number in range(3)))

    again = memory.poll(*(entry(number, id=f"second-{number}") for number in range(3)))

    assert memory.churn
    assert set(changes(again)) == {Change.SAME}
    assert changes(memory.poll(entry(0, id="third", title="Edited"))) == [Change.REVISED]


def test_guids_that_number_the_position_are_found_out() -> None:
    memory = Memory()
    memory.poll(*(entry(number, id=str(place)) for place, number in enumerate([3, 2, 1])))

    moved = memory.poll(*(entry(number, id=str(place)) for place, number in enumerate([4, 3, 2])))

    assert memory.churn
    assert changes(moved) == [Change.NEW, Change.SAME, Change.SAME]


def test_a_page_that_carries_one_story_after_another_is_not_one_article() -> None:
    memory = Memory()
    (first,) = memory.poll(entry(1, url="https://n.example/live", title="Quake in A"))

    (second,) = memory.poll(entry(2, url="https://n.example/live", title="Quake in B"))

    assert second.change is Change.NEW
    assert second.id != first.id


def test_a_feed_without_guids_goes_by_its_addresses() -> None:
    memory = Memory()
    (first,) = memory.poll(entry(1, id=None, url="http://www.n.example/a/amp/?utm_source=rss"))

    (second,) = memory.poll(entry(1, id=None, url="https://n.example/a?fbclid=9", title="edited"))

    assert (second.id, second.change) == (first.id, Change.REVISED)


@given(slug=SLUGS, tracking=TRACKING, twin=st.sampled_from(["http://", "https://", "https://www.", "http://amp.www."]))
def test_all_twins_of_an_address_have_one_key(slug: str, tracking: list[str], twin: str) -> None:
    plain = url_key(f"https://news.example.org/{slug}?id=7")
    query = "&".join(["id=7", *tracking])

    assert url_key(f"{twin}NEWS.example.org/{slug}/?{query}#top".replace("amp.www.", "amp.")) == plain


@given(one=SLUGS, other=SLUGS)
def test_other_pages_have_other_keys(one: str, other: str) -> None:
    same = one.strip("/") == other.strip("/")

    assert (url_key(f"http://n.example/{one}") == url_key(f"http://n.example/{other}")) == same
    assert url_key(f"http://n.example/?id={one}x") != url_key(f"http://n.example/?id={other}y")


@given(st.text(max_size=60))
def test_no_text_breaks_the_keys(text: str) -> None:
    for url in (text, f"http://{text}", f"http://n.example/{text}"):
        url_key(url)
        clean_url(url)


@pytest.mark.parametrize(
    "url", ["", None, "http://n.example", "https://www.n.example/", "mailto:a@b", "http://[", "/a"]
)
def test_what_names_no_page_has_no_key(url: str | None) -> None:
    assert url_key(url) is None


@given(slug=SLUGS, tracking=TRACKING)
def test_people_get_the_address_without_the_tracking(slug: str, tracking: list[str]) -> None:
    cleaned = clean_url(f"https://n.example/{slug}?" + "&".join(["id=%2F7", *tracking]))

    assert cleaned == f"https://n.example/{slug}?id=%2F7"
    assert urlsplit(clean_url(cleaned)).path == f"/{slug}"


@given(title=WORDS, summary=WORDS)
def test_spacing_is_no_revision(title: str, summary: str) -> None:
    assert content_key(f" {title}\n", summary, "") == content_key(title, f"{summary} ", "")
    assert content_key(title, summary, "") != content_key(title + "x", summary, "")


@given(length=st.integers(1, 3_000), letter=st.sampled_from("aé漢🦊"), tracking=TRACKING)
def test_an_address_is_shown_whole_or_not_at_all(length: int, letter: str, tracking: list[str]) -> None:
    plain = f"https://n.example/{letter * length}"
    url = "?".join(filter(None, [plain, "&".join(tracking)]))

    (item,) = identify("wire", [entry(1, url=url)])

    assert item.url == (plain if len(plain.encode()) <= URL_LIMIT_BYTES else "")
    assert item.url_key == url_key(plain)
