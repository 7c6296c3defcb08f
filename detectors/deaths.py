"""People killed in a current event: which predicate, how many, where.

Every count goes to the cheapest predicate around it, so that the injured, the missing and the rescued keep theirs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from detectors import quantities, victims
from detectors.candidates import Candidate, judge
from detectors.marks import Quantity
from detectors.patterns import OTHERS, Span, all_matches, gap_cost
from detectors.scopes import clause
from tocsin.records import Certainty, Detection, Evidence, Toll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from detectors.document import Document
    from detectors.marks import Mark
    from detectors.rules import Rule
    from detectors.tokens import Sentence

ANCHORS: Final = (
    "toll",
    "fatal",
    "dead_one",
    "dead_many",
    "dead",
    "corpses",
    "dying",
    "dying_plain",
    "killing",
    "slaying",
)
HEADS_ELSEWHERE: Final = frozenset({"injured", "missing", "animals", "rescued", "detained"})
PERSON_REACH: Final = 16
BODY_REACH: Final = 2
VAGUE_PLURAL: Final = 2
_TOLD_BY_THE_WORD: Final = frozenset({"dead_many", "dead_one", "fatal"})  # `Tote`, `Toter`, `tödlicher Unfall`
_ANIMAL_REACH: Final = 6
_OBJECT_REACH: Final = 2
_INSTEAD_REACH: Final = 3
_FATE_REACH: Final = 10
_BODY_GAP: Final = 2


def find(document: Document, rule: Rule) -> Iterator[Candidate]:
    """Candidates of every sentence, main figures and further ones alike; the merge sorts them."""
    for sentence in document.sentences:
        anchors = _anchors(sentence)
        if not anchors:
            continue
        figures = _but_wholes(sentence, _summed(sentence))
        bound = _bind(sentence, rule, figures, document.language)
        seen_count = False
        waiting: list[Mark] = []
        for anchor in anchors:
            counts = _one_side(sentence, anchor, bound.get((anchor.start, anchor.end), []))
            for count in sorted(counts, key=lambda item: item.start):
                seen_count = True
                yield _candidate(document, rule, sentence, anchor, count, notes=_notes(sentence, count))
            if not counts:
                waiting.append(anchor)
        if not seen_count:
            for anchor in waiting:
                guess = _uncounted(sentence, anchor, is_calamity=partial(_is_calamity, document, sentence))
                if guess is not None:
                    guess = (victims.referred(sentence, anchor, figures) if guess.vague else None) or guess
                    yield _candidate(document, rule, sentence, anchor, guess)
                    break


def least(_rule: Rule, _language: str) -> list[tuple[tuple[str, ...], ...]]:
    """Return the groups of classes one of each of which must stand in a sentence for `finds` to hold."""
    return [(ANCHORS,)]  # a death is told without a pattern, too


def finds(sentence: Sentence, rule: Rule, language: str) -> bool:
    """Tell whether `find` may have a candidate in *sentence*; where others would have to tell, it may."""
    anchors = _anchors(sentence)
    if not anchors:
        return False
    if any(_uncounted(sentence, anchor, is_calamity=lambda: True) is not None for anchor in anchors):
        return True
    bound = _bind(sentence, rule, _but_wholes(sentence, _summed(sentence)), language)
    return any(_one_side(sentence, anchor, bound.get((anchor.start, anchor.end), [])) for anchor in anchors)


def _anchors(sentence: Sentence) -> list[Mark]:
    """Predicates of death, one per place; a toll phrase swallows the dead inside it."""
    found: list[Mark] = []
    for mark in sorted(
        sentence.of(*ANCHORS), key=lambda m: (-max(m.end - m.start, m.words), ANCHORS.index(m.name), m.start)
    ):
        if not any(mark.start < other.end and other.start < mark.end for other in found):
            found.append(mark)
    return sorted(found, key=lambda mark: mark.start)


def _summed(sentence: Sentence) -> list[Quantity]:
    """Return the sentence's counts, with `eleven demonstrators and a policeman` put together."""
    found: list[Quantity] = []
    others = {mark.start for mark in sentence.of("injured", "missing", "rescued", "detained")}
    joints = {mark.end for mark in sentence.of("and") if mark.end not in others}
    more = {mark.start: mark for mark in sentence.of("one_more")}
    subsets = {mark.end for mark in sentence.of("subset")}
    fates = {mark.start for mark in sentence.of(*ANCHORS, *HEADS_ELSEWHERE)}
    spared = {mark.start for mark in sentence.of(*HEADS_ELSEWHERE) if mark.words > 1}
    for quantity in sentence.quantities:
        previous = found[-1] if found else None
        if (
            previous is not None
            and quantity.is_exact and previous.is_exact
            and quantity.start in joints | {j + 1 for j in joints}
            and previous.head_at < quantity.start <= previous.head_at + 4
            and not {quantity.head, previous.head} & (HEADS_ELSEWHERE | {"dead", "dead_many", "corpses"})
            and not subsets & {quantity.start, quantity.start - 1}
            and not any(text in ",;:." for text in sentence.texts[previous.head_at : quantity.start])
            and not fates & set(range(previous.head_at + 1, quantity.start))
            and not spared & {quantity.head_at + 1, quantity.head_at + 2}  # `and two more were hurt`
        ):  # fmt: skip
            found[-1] = replace(
                quantities.add(previous, quantity), head=previous.head or quantity.head, head_at=quantity.head_at
            )
        else:
            found.append(quantity)
    for place, quantity in enumerate(found):
        mark = more.get(quantity.head_at + 1)
        end = mark.end if mark is not None else quantity.end if _has_one_before(sentence, quantity) else None
        if end is not None and quantity.is_exact:
            total = quantity.bare + 1
            found[place] = replace(quantity, min=total, max=total, bare=total, end=end)
    return found


def _but_wholes(sentence: Sentence, figures: list[Quantity]) -> list[Quantity]:
    """Leave out the whole that a part is taken of: `Of the 212 on board, 209 walked away`."""
    openers = {mark.end for mark in sentence.of("partitive") if _opens_clause(sentence, mark.start)}
    return [
        figure
        for at, figure in enumerate(figures)
        if figure.start not in openers or all(later.article for later in figures[at + 1 :])
    ]


def _opens_clause(sentence: Sentence, at: int) -> bool:
    return at == 0 or not sentence.texts[at - 1][0].isalnum()


def _has_one_before(sentence: Sentence, quantity: Quantity) -> bool:
    """`kills army chief and nine others`, `mother and two children`: an uncounted person stands before the joint."""
    others = any(mark.start == quantity.end for mark in sentence.of("others"))
    if not others and (quantity.head != "people" or not quantity.is_exact):
        return False
    joints = {mark.start for mark in sentence.of("and") if mark.end == quantity.start}
    if any(other.head_at in {joint - 1 for joint in joints} for other in sentence.quantities if other is not quantity):
        return False
    return any(mark.end in joints for mark in sentence.of("people_one", "office", "head"))


def _bind(
    sentence: Sentence, rule: Rule, figures: list[Quantity], language: str
) -> dict[tuple[int, int], list[Quantity]]:
    """Give every count to the predicate whose pattern costs least, and keep those of the dead."""
    best: dict[int, tuple[float, str, Span]] = {}
    by_place = {id(quantity): quantity for quantity in figures}
    original, sentence.quantities = sentence.quantities, figures
    for match in all_matches(rule.patterns, sentence, language):
        count, means = match.part("count"), match.pattern.means
        other = next((span for name, span in match.parts if name != "count"), None)
        if count is None or other is None or (means == OTHERS and not _takes(sentence, count, other)):
            continue
        if ";" in sentence.texts[count.end : other.start]:
            continue  # `two boys were shot; one died`
        if id(count) not in best or match.cost < best[id(count)][0]:
            best[id(count)] = match.cost, means, other
    sentence.quantities = original
    anchors = _anchors(sentence)
    result: dict[tuple[int, int], list[Quantity]] = {}
    for key, (_, means, span) in best.items():
        quantity = by_place[key]
        owner = next((a for a in anchors if a.start < span.end and span.start < a.end), None)
        if owner is not None and means == rule.settings.type and _counts_people(sentence, quantity, span):
            result.setdefault((owner.start, owner.end), []).append(quantity)
    return result


def _takes(sentence: Sentence, count: Span, other: Span) -> bool:
    """Tell whether the injured, missing or rescued may have this count.

    Not `bodies of two missing`, `killed all six on board`, nor `87, with 20 still missing` for the 87.
    """
    if _is_of_the_dead(sentence, count) or _are_found_dead(sentence, other) or _found_dead(sentence, count, other):
        return False
    if other.start >= count.end and quantities.begins_anew(sentence, other.start):
        return False
    subsets = {mark.end for mark in sentence.of("subset")}
    between = range(count.end, other.start)
    return not any(
        quantity.start in between and not quantity.article and not subsets & {quantity.start, quantity.start - 1}
        for quantity in sentence.quantities
    )


def _are_found_dead(sentence: Sentence, other: Span) -> bool:
    """Tell of `the three climbers missing since Sunday were found dead`: the last that is said of them counts.

    Neither a border nor a joint nor another count stands between the two.
    """
    if not any(mark.start == other.start for mark in sentence.of("missing", "rescued", "detained")):
        return False
    ends = [mark.start for mark in sentence.of("dying", "dead", "corpses", "killing") if mark.start >= other.end]
    if not ends or ends[0] - other.end > _FATE_REACH:
        return False
    between = range(other.end, ends[0])
    joints = {mark.start for mark in sentence.of("and", "terminators")}
    return not (
        any(i in joints or not sentence.texts[i][0].isalnum() for i in between)
        or any(quantity.start in between and not quantity.article for quantity in sentence.quantities)
    )


def _found_dead(sentence: Sentence, count: Span, other: Span) -> bool:
    """Tell of `hallan sin vida a los cuatro montañistas extraviados`: a participle behind those who are found dead."""
    lost = next((mark for mark in sentence.of("missing") if mark.start == other.start and mark.words == 1), None)
    if lost is None or other.start < count.end or other.start - count.end > BODY_REACH:
        return False
    found = [mark.tail[1] if mark.tail else mark.end for mark in sentence.of("dying", "dead", "corpses")]
    ends = [end for end in found if end <= count.start]
    return bool(ends) and all(
        text[0].isalpha() and i not in {mark.start for mark in sentence.of("and")}
        for i, text in enumerate(sentence.texts[max(ends) : count.start], max(ends))
    ) and count.start - max(ends) <= BODY_REACH  # fmt: skip


def _is_of_the_dead(sentence: Sentence, count: Span) -> bool:
    if any(mark.end in {count.start, count.start - 1} for mark in sentence.of("whole")):
        return True
    links = {mark.start for mark in sentence.of("genitive")}
    return any(mark.end in links and 1 <= count.start - mark.end <= BODY_REACH for mark in sentence.of("corpses"))


def _counts_people(sentence: Sentence, quantity: Quantity, predicate: Span) -> bool:
    if quantity.bare == 0 or quantity.head == "animals":
        return False
    if _disagrees(sentence, quantity, predicate):
        return False
    if quantity.head in HEADS_ELSEWHERE and not _is_of_the_dead(sentence, quantity):
        return False
    if victims.is_of_things(sentence, predicate, quantity):
        return False
    is_body = any(mark.start <= predicate.start < mark.end for mark in sentence.of("corpses"))
    return not is_body or _counts_bodies(quantity, predicate)


def _counts_bodies(quantity: Quantity, body: Span) -> bool:
    is_person = quantity.head in {"people", "forces"}
    if is_person and body.start - quantity.head_at > _BODY_GAP:
        return False  # `dozens of villagers brought bodies`
    if quantity.vague and quantity.start >= body.end:
        return quantity.head is not None  # `the body as an object of several works`
    return not (quantity.article and not is_person)  # `a body such as the council`


def _disagrees(sentence: Sentence, quantity: Quantity, predicate: Span) -> bool:
    """`admitió ante dos periodistas que Zabalza murió`: two would be `murieron`, though a family of five may be one."""
    if not quantity.is_exact or quantity.bare <= 1 or quantity.end > predicate.start:
        return False
    if any(mark.end == quantity.start for mark in sentence.of("genitive")):
        return False
    return any(mark.start == predicate.start for mark in sentence.of("agreeing"))


def _one_side(sentence: Sentence, anchor: Mark, counts: list[Quantity]) -> list[Quantity]:
    """Return the counts that are truly of this predicate.

    A killer's `a man` gives way to those he killed, and a later clause to this one.
    """
    if len(counts) <= 1 or anchor.name == "toll":
        return counts
    object_ = [count for count in counts if count.start == anchor.end]
    if anchor.name == "killing" and object_ and not victims.is_passive(sentence, anchor):
        return object_  # `two gunmen shot dead a journalist`
    counted = [count for count in counts if not count.article] or counts
    counted = victims.but_circumstances(sentence, anchor, counts, counted)
    standing = [count for count in counted if "withdrawn" not in _notes(sentence, count)] or counted
    nearest = min(standing, key=lambda count: victims.gap(sentence, count, anchor))
    before = nearest.start < anchor.start
    return [
        count
        for count in counted
        if count is nearest
        or (count.start < anchor.start) == before
        or _notes(sentence, count) & {"subset", "earlier", "withdrawn"}
    ]


def _is_of_animals(sentence: Sentence, anchor: Mark, count: Quantity) -> bool:
    """Tell whether an animal stands nearer to the predicate than whoever was counted."""
    own = (count.start, count.end) == (anchor.start, anchor.end)
    victim = _ANIMAL_REACH if own else min(abs(count.start - anchor.end), abs(anchor.start - count.head_at))
    agents = {mark.end + article for mark in sentence.of("agent") for article in (0, 1)}
    for mark in sentence.of("animals"):
        if mark.start in agents:
            continue  # `von Hai getötet`, `killed by a bear`
        after = mark.start - anchor.end
        if 0 <= after <= _OBJECT_REACH or 0 <= (after if after >= 0 else anchor.start - mark.end) < victim:
            return True
    return False


def _notes(sentence: Sentence, count: Quantity) -> frozenset[str]:
    notes = set()
    if any(mark.end in {count.start, count.start - 1} for mark in sentence.of("subset")):
        notes.add("subset")
    if any(mark.end in {count.start, count.start - 1} for mark in sentence.of("earlier")):
        notes.add("earlier")
    if any(0 <= count.start - mark.end <= _INSTEAD_REACH for mark in sentence.of("instead")):
        notes.add("withdrawn")
    if sentence.of("corrected") and not sentence.of("corrected_up"):
        notes.add("corrected")
    if count.vague and count.rank == VAGUE_PLURAL:
        notes.add("plural")
    return frozenset(notes)


def _uncounted(sentence: Sentence, anchor: Mark, *, is_calamity: Callable[[], bool]) -> Quantity | None:
    """One person, or `the dead` without a number."""
    for quantity in sentence.quantities:
        if anchor.start <= quantity.start < anchor.end and not quantity.article and quantity.bare:
            return quantity  # a dual: one word says `dead` and `two`
    many = Quantity(anchor.start, anchor.end, VAGUE_PLURAL, None, vague=True)
    low, high = clause(sentence, anchor.start)
    if anchor.name in _TOLD_BY_THE_WORD:
        return {"dead_many": many, "dead_one": replace(many, min=1, max=1), "fatal": replace(many, min=1)}[anchor.name]
    if anchor.name in {"toll", "corpses"}:
        return None
    reach = range(anchor.start - PERSON_REACH, anchor.end + PERSON_REACH)
    people = [mark for mark in sentence.of("people", "forces", "nobody") if mark.start in reach]
    if anchor.name == "killing":
        people = victims.struck(sentence, anchor, people)
    near = [mark for mark in people if low - 1 <= mark.start < high + 1] or people
    weak = anchor.name in {"dying_plain", "slaying", "dead"}
    if not near or (weak and not is_calamity()):
        return None if weak else _named(sentence, anchor, low)
    person = min(near, key=lambda mark: gap_cost(sentence, *sorted((mark.start, anchor.start))))
    struck = next((mark for mark in people if _is_struck(sentence, anchor, mark)), None)
    if anchor.name == "killing" and struck is not None and not victims.is_passive(sentence, anchor):
        person = struck  # `police shot a boy`, where no article says so
        number = _own_number(sentence, person)
    else:
        number = _number(sentence, anchor, low, high) or _own_number(sentence, person)
    if number is None and anchor.name == "killing":  # `Брата министра застрелили`: whoever has a number of his own
        person = next((mark for mark in near if _own_number(sentence, mark)), person)
        number = _own_number(sentence, person)
    if number == 1:
        return Quantity(person.start, person.end, 1, 1)
    return replace(many, start=person.start, end=person.end) if number == VAGUE_PLURAL else None


def _is_struck(sentence: Sentence, anchor: Mark, person: Mark) -> bool:
    """`police shot a boy`, `shot a young boy`: a person right behind the verb, an adjective aside."""
    between = sentence.texts[anchor.end : person.start]
    near = 0 <= person.start - anchor.end <= 1 and all(text.isalpha() for text in between)
    return near and _own_number(sentence, person) is not None


def _named(sentence: Sentence, anchor: Mark, low: int) -> Quantity | None:
    """`погиб Джон Нэш`: two words with capitals beside a verb that itself says `one` are a person."""
    if anchor.name == "killing" and victims.is_someone(sentence, anchor, low):
        return Quantity(low, low + 1, 1, 1)
    if not any(mark.start == anchor.start for mark in sentence.of("singular")):
        return None
    places = {i for place in sentence.places for i in range(place.start, place.end)}
    for start in (anchor.end, anchor.start - 2):
        name = range(start, start + 2)
        if 0 <= start < len(sentence) - 1 and all(i not in places and sentence.texts[i].istitle() for i in name):
            return Quantity(start, start + 2, 1, 1)
    return None


def _own_number(sentence: Sentence, person: Mark) -> int | None:
    for name, number in (("people_one", 1), ("people_many", VAGUE_PLURAL)):
        if any(mark.start == person.start for mark in sentence.of(name)):
            return number
    return None


def _number(sentence: Sentence, anchor: Mark, low: int, high: int) -> int | None:
    """Singular or plural, by the verb forms of the clause."""
    best: tuple[float, int] | None = None
    for name, number in (("singular", 1), ("plural", VAGUE_PLURAL)):
        for mark in sentence.of(name):
            if low <= mark.start < high:
                apart = abs(mark.start - anchor.start)
                if best is None or apart < best[0]:
                    best = apart, number
    return best[1] if best else None


def _is_calamity(document: Document, sentence: Sentence) -> bool:
    return any(
        name.startswith("cause_") and name != "cause_politics" and marks
        for other in document.neighbours(sentence)
        for name, marks in other.marks.items()
    )


def _candidate(
    document: Document,
    rule: Rule,
    sentence: Sentence,
    anchor: Mark,
    count: Quantity,
    *,
    notes: frozenset[str] = frozenset(),
) -> Candidate:
    country, place, there = document.where(sentence, anchor.start)
    evidence: list[Evidence] = [document.evidence(sentence, anchor.start, anchor.end, "deaths")]
    if anchor.tail:
        evidence.append(document.evidence(sentence, *anchor.tail, "deaths"))
    if (count.start, count.end) != (anchor.start, anchor.end):
        evidence.append(document.evidence(sentence, count.start, max(count.end, count.start + 1), "count"))
    if place is not None and there is not None:
        evidence.append(document.evidence(there, place.start, place.end, "country"))
    detection = Detection(
        type=rule.settings.type,
        certainty=Certainty.CONFIRMED,
        rule=rule.settings.id,
        severity=rule.settings.severity,
        evidence=tuple(evidence),
        country=country,
        places=document.named_places(sentence, country),
        happening=document.happening(sentence),
        toll=Toll(min=count.min, max=count.max, approx=count.approx),
    )
    points = [anchor.start] if anchor.tail is None else [anchor.start, anchor.tail[0]]
    if (count.start, count.end) != (anchor.start, anchor.end) and abs(count.start - anchor.start) < PERSON_REACH + 3:
        points.append(count.start)
    if count.vague and count.rank <= VAGUE_PLURAL and count.max is None:
        notes |= {"plural"}
    if _is_of_animals(sentence, anchor, count):
        return Candidate(detection=detection, sentence=sentence, at=anchor.start, rejected="animal", notes=notes)
    return judge(document, rule, detection, sentence, points, notes=notes)
