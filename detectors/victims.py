"""Who of those that a sentence counts has died: not by how many blows, not in which of two towns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from detectors.patterns import Span, gap_cost

if TYPE_CHECKING:
    from detectors.marks import Mark, Quantity
    from detectors.tokens import Sentence

_HUMAN: Final = frozenset({"people", "forces", "dead", "dead_many"})
_PREDICATES: Final = ("dead", "dead_many", "dying", "dying_plain", "killing", "injured")
_PRONOUN_REACH: Final = 4
_ARTICLE_REACH: Final = 2  # `exécute alors un massage`: an adverb may stand before the article


def is_passive(sentence: Sentence, anchor: Span) -> bool:
    """Tell whether the predicate's subject suffers it: `ont été tués`."""
    return any(0 <= anchor.start - mark.end <= 1 for mark in sentence.of("passive"))


def gap(sentence: Sentence, count: Quantity, anchor: Mark) -> float:
    """Return what it costs to get from a count to a predicate, or back."""
    if count.start < anchor.start:
        return gap_cost(sentence, count.end, anchor.start)
    return gap_cost(sentence, anchor.end, count.start)


def but_circumstances(
    sentence: Sentence, anchor: Mark, counts: list[Quantity], counted: list[Quantity]
) -> list[Quantity]:
    """`Une femme a été tuée de plusieurs coups`: behind whoever died stands how and where, unless it is people too."""
    if anchor.name not in {"dying", "dying_plain"} and not (anchor.name == "killing" and is_passive(sentence, anchor)):
        return counted
    died = [count for count in counts if count.start < anchor.start and count.head in {"people", "forces"}]
    if not died:
        return counted
    kept = [
        count for count in counted
        if count.start < anchor.start or may_be_people(sentence, count)
    ]  # fmt: skip
    return kept or [min(died, key=lambda count: gap(sentence, count, anchor))]


def is_someone(sentence: Sentence, anchor: Mark, low: int) -> bool:
    """`Un pharmacien a été tué`: who opens a clause with an article of one and is killed is a person."""
    opens = any(mark.start == low for mark in sentence.of("one"))
    alone = not sentence.of("animals", "things") and any(mark.end <= anchor.start for mark in sentence.of("singular"))
    return opens and alone and is_passive(sentence, anchor) and not strikes_things(sentence, anchor)


def referred(sentence: Sentence, anchor: Mark, figures: list[Quantity]) -> Quantity | None:
    """`cinq mineurs sont piégés, et tous sont sans doute morts`: whose number the sentence has told before."""
    near = range(anchor.start - _PRONOUN_REACH, anchor.start)
    if not any(mark.start in near for mark in sentence.of("all_of_them")):
        return None
    told = [count for count in figures if count.end < anchor.start and count.head in {"people", "forces", "missing"}]
    return replace(told[-1], start=anchor.start, end=anchor.end) if told else None


def strikes_things(sentence: Sentence, predicate: Span) -> bool:
    """Tell `éliminer`, `abattre` and the like, which befall stocks and trees as well, from `assassiner`."""
    return any(mark.start == predicate.start for mark in sentence.of("strikes_things"))


def is_of_things(sentence: Sentence, predicate: Span, count: Quantity) -> bool:
    """`dix décharges ont été éliminées`, `la mort de Mozart a fait l'objet de nombreuses légendes`."""
    if strikes_things(sentence, predicate):
        behind = count.start >= predicate.end and has_a_thing_behind(sentence, predicate)
        return behind or not may_be_people(sentence, count)
    slaying = any((mark.start, mark.end) == (predicate.start, predicate.end) for mark in sentence.of("slaying"))
    return slaying and count.start > predicate.end + 1 and count.head is None


def may_be_people(sentence: Sentence, count: Quantity) -> bool:
    """Tell whether persons are counted, or nothing is named: `trois ont été abattus`."""
    return count.head in _HUMAN or not _has_a_noun(sentence, count)


def _has_a_noun(sentence: Sentence, quantity: Quantity) -> bool:
    """Tell `trois promeneuses` from `trois ont été abattus`: a word follows that is no verb and no preposition."""
    at = quantity.end
    if at >= len(sentence) or not sentence.texts[at].isalpha():
        return False
    verbs = sentence.of("singular", "plural", "passive", "by", "located", "and", "or_more", *_PREDICATES)
    return not any(mark.start == at for mark in verbs)


def struck(sentence: Sentence, anchor: Mark, people: list[Mark]) -> list[Mark]:
    """Of *people*, those whom a verb may have struck, none where its object is a thing.

    Of a verb that befalls things as well, neither who did it (`éliminés par la
    brigade`) nor a word that belongs to a thing (`d'autres détritus`).
    """
    if has_a_thing_behind(sentence, anchor):
        return []
    if not strikes_things(sentence, anchor):
        return people
    agents, things = {mark.end for mark in sentence.of("by")}, {mark.start for mark in sentence.of("things")}
    return [mark for mark in people if mark.start not in agents and mark.end not in things]


def _is_number(sentence: Sentence, at: int) -> bool:
    digit = at < len(sentence) and sentence.texts[at][0].isdigit()
    return digit or any(mark.start == at for mark in sentence.of("number", "vague", "approximate"))


def has_a_thing_behind(sentence: Sentence, anchor: Span) -> bool:
    """`exécute un massage`, `a tué le village`: an article and a noun that is no person behind the verb."""
    if is_passive(sentence, anchor):
        return False
    if not strikes_things(sentence, anchor):
        return any(anchor.end == mark.start and _is_a_thing(sentence, mark.end) for mark in sentence.of("definite"))
    behind = [count for count in sentence.quantities if count.start == anchor.end and not count.article]
    if behind or _is_number(sentence, anchor.end):  # `ont abattu deux cents hêtres`; of measures there is no quantity
        return not behind or any(not may_be_people(sentence, count) for count in behind)
    counts = [count for count in sentence.quantities if not count.article]
    for mark in sentence.of("one", "definite", "possessive"):
        if any(count.start <= mark.start < count.end for count in counts):
            continue  # `a una treintena de milicianos`
        if anchor.end <= mark.start < anchor.end + _ARTICLE_REACH:
            return _is_a_thing(sentence, mark.end)
    return False


def _is_a_thing(sentence: Sentence, at: int) -> bool:
    """Tell whether the noun at word *at*, an adjective before it, is neither a name nor known for a person."""
    if at >= len(sentence) or not sentence.texts[at].islower():
        return False
    known = sentence.of("people", "forces", "head", "office", "corpses", "nobody", "injured")
    return not any(mark.start in range(at, at + _ARTICLE_REACH) for mark in known)
