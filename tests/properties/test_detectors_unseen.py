from hypothesis import given, strategies as st

from detectors.unseen import cleaned

SHOWN = "ab Ёи1.,\n"
UNSEEN = "\u00ad\u200b\u200d\u200f\u202e\u2066\ufeff\ufe0f\u0301\u0308"
TEXTS = st.text(alphabet=SHOWN + UNSEEN, max_size=30)


@given(text=TEXTS)
def test_nothing_unseen_is_left(text: str) -> None:
    plain, _ = cleaned(text)

    assert not set(plain) & set(UNSEEN)


@given(text=st.text(alphabet=SHOWN, max_size=30))
def test_what_is_seen_stays_as_it_is(text: str) -> None:
    assert cleaned(text) == (text, None)


@given(text=TEXTS, data=st.data())
def test_every_piece_is_found_again_in_the_text_as_it_was(text: str, data: st.DataObject) -> None:
    plain, shift = cleaned(text)
    start = data.draw(st.integers(0, len(plain)))
    end = data.draw(st.integers(start, len(plain)))

    if shift is not None and end > start:
        first, last = shift.span(start, end)

        assert cleaned(text[first:last])[0] == plain[start:end]
        assert len(shift.starts) == len(shift.ends) == len(plain)
