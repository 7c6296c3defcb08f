"""An article as sentences with their marks, and what the whole says about one sentence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from detectors import quantities
from detectors.gathered import Cues, Gathered, Said
from detectors.placenames import ADJECTIVE, CITY, COUNTRY, INSTITUTION, TOWN
from detectors.tokens import Sentence
from tocsin.records import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detectors.lexicon import Begun, Lexicon
    from detectors.marks import PlaceMark
    from detectors.places import Gazetteer


_ORIGIN_REACH: Final = 3
_TIERS: Final = range(3)  # how surely a place that another sentence names is the scene, the surest first


@dataclass(slots=True, eq=False)
class Document:
    """The sentences of one article in reading order; title and text are one text.

    Its sentences stay the same, and so do their marks until `forget` is called.
    """

    language: str
    home: str | None
    sentences: list[Sentence]
    fields: dict[str, str]
    published: datetime | None = None
    _gathered: Gathered | None = None

    @property
    def gathered(self) -> Gathered:
        """What was gathered so far."""
        if self._gathered is None:
            self._gathered = Gathered({id(sentence): at for at, sentence in enumerate(self.sentences)})
        return self._gathered

    def forget(self) -> None:
        """Gather anew what the sentences say: some of them were marked since."""
        self._gathered = None

    def neighbours(self, sentence: Sentence, reach: int = 1) -> list[Sentence]:
        """Return the sentence itself and those around it."""
        at = self.position(sentence)
        return self.sentences[max(0, at - reach) : at + reach + 1]

    def position(self, sentence: Sentence) -> int:
        """Where the sentence stands in reading order."""
        return self.gathered.positions[id(sentence)]

    def before(self, sentence: Sentence) -> Sentence | None:
        """Return the sentence before, if it is of the same field."""
        at = self.position(sentence)
        other = self.sentences[at - 1] if at else None
        return other if other is not None and other.field == sentence.field else None

    def evidence(self, sentence: Sentence, start: int, end: int, proves: str) -> Evidence:
        """Return the words *start* to *end* of *sentence*, as they stand in the article."""
        first, last = sentence.starts[start], sentence.ends[end - 1]
        return Evidence(
            field=sentence.field, start=first, end=last, quote=self.fields[sentence.field][first:last], proves=proves
        )

    def resolve(self, mark: PlaceMark) -> str:
        """Of several countries with a town of that name, the one that the article names elsewhere."""
        if len(mark.codes) > 1:
            gathered = self.gathered
            if gathered.sure_codes is None:
                places = (place for sentence in self.sentences for place in sentence.places)
                gathered.sure_codes = frozenset(place.code for place in places if len(place.codes) == 1)
            for code in mark.codes:
                if code in gathered.sure_codes:
                    return code
        return mark.code

    def where(self, sentence: Sentence, near: int) -> tuple[str | None, PlaceMark | None, Sentence | None]:
        """Return where something at word *near* happens: in this sentence's country, else one before, else after."""
        at = self.position(sentence)
        voice: PlaceMark | None = None
        own = self._scene(sentence, near)
        if own is not None:
            best = own[1]
            if best.kind != INSTITUTION and (best.kind != ADJECTIVE or best.located):
                return self.resolve(best), best, sentence
            voice = best  # `the Israeli ministry said`: it happened where others say, if they do
            if self._is_struck(sentence, voice):
                return self.resolve(voice), voice, sentence
        sure, weak = self._scenes_by_tier()[:-1], self._scenes_by_tier()[-1:]
        for tiers in (sure[:1],) if voice is not None else (sure, weak):
            before = next((hit for said in tiers if (hit := said.before(at)) is not None), None)
            found = before or next((hit for said in tiers if (hit := said.behind(at)) is not None), None)
            if found is not None:
                return self.resolve(found[1]), found[1], self.sentences[found[0]]
        return (self.resolve(voice), voice, sentence) if voice is not None else (None, None, None)

    def _is_struck(self, sentence: Sentence, voice: PlaceMark) -> bool:
        """`Bei russischen Angriffen sind nach ukrainischen Angaben …`: the other side of an attack tells of it."""
        actors = {self.resolve(place) for place in sentence.places if _is_actor(sentence, place)}
        return bool(actors) and self.resolve(voice) not in actors

    def _scenes_by_tier(self) -> tuple[Said[PlaceMark], ...]:
        """Return what each sentence names for the others, by how surely it is the scene."""
        if self.gathered.scenes is None:
            found = [(at, scene) for at, s in enumerate(self.sentences) if (scene := self._scene(s, None)) is not None]
            self.gathered.scenes = tuple(
                Said((at, place) for at, (tier, place) in found if tier == wanted) for wanted in _TIERS
            )
        return self.gathered.scenes

    def _scene(self, sentence: Sentence, near: int | None) -> tuple[int, PlaceMark] | None:
        """Return the likeliest place of *sentence*, and its tier, for something at word *near* or in another one."""
        places = self._scenes(sentence, for_others=near is None, is_only=len(self.sentences) == 1)
        if not places:
            return None
        best = places[0] if len(places) == 1 else self._least_awkward(places, near or 0)
        if _is_dateline(sentence, best):
            return 0, best
        return (2 if _speaks(sentence, best) else _tier(best)), best

    def _scenes(self, other: Sentence, *, for_others: bool, is_only: bool) -> list[PlaceMark]:
        """Return the places of *other* where what it tells, or another one, may have happened."""
        places = [place for place in other.places if not _is_actor(other, place)]
        if for_others:
            places = self._but_senders(other, places)
        beyond = {mark.end for mark in other.of("frontier")}
        if beyond and not is_only and all(place.start in beyond for place in places):
            return []  # `an der Grenze zu Pakistan`: the land is named elsewhere
        places = [place for place in places if place.start not in beyond] or places
        people = {mark.end for mark in other.of("people")}
        homes = {mark.end for mark in other.of("origin") if mark.start in people}  # `a climber from Poland`
        return [place for place in places if place.start not in homes] or places

    def _least_awkward(self, places: list[PlaceMark], near: int) -> PlaceMark:
        known = self.countries_named()
        return min(places, key=lambda place: _awkwardness(place, near, known))

    def countries_named(self, *, by_adjective: bool = True) -> Counter[str]:
        """Return how often places of each country are named."""
        known = self.gathered.countries.get(by_adjective)
        if known is None:
            known = self.gathered.countries[by_adjective] = Counter(
                self.resolve(place)
                for sentence in self.sentences
                for place in sentence.places
                if by_adjective or place.kind != ADJECTIVE or _stands_for_state(sentence, place)
            )
        return known

    def _but_senders(self, sentence: Sentence, places: list[PlaceMark]) -> list[PlaceMark]:
        """Leave out the states that send soldiers there: `Einheiten aus Nigeria landeten in Banjul`."""
        sent = {self.resolve(place) for place in places if _sends(sentence, place)}
        return [place for place in places if self.resolve(place) not in sent]

    def main_country(self, *, but: frozenset[str] = frozenset(), by_adjective: bool = True) -> str | None:
        """Return the country that the article names most often; `the Russian threat` is none *by_adjective*."""
        ranked = [code for code, _ in self.countries_named(by_adjective=by_adjective).most_common() if code not in but]
        return ranked[0] if ranked else None

    def named_places(self, sentence: Sentence, country: str | None) -> tuple[str, ...]:
        """Cities and regions of *country* in and around *sentence*."""
        found = [
            place.name
            for other in self.neighbours(sentence)
            for place in other.places
            if place.kind in "kmtr" and self.resolve(place) == country
        ]
        return tuple(dict.fromkeys(found))

    def happening(self, sentence: Sentence) -> str | None:
        """Return the cause that the words of the sentence, else of the whole, speak of."""
        at = self.position(sentence)
        if self.gathered.causes is None:
            self.gathered.causes = Said((at, c) for at, s in enumerate(self.sentences) if (c := _cause(s)) is not None)
        own = self.gathered.causes.at(at)
        if own is not None:
            return own
        near = self.gathered.causes.before(at) or self.gathered.causes.behind(at)
        return near[1] if near is not None else None

    def cues(self) -> Cues:
        """Return the cues of scopes that reach beyond their sentence."""
        if self.gathered.cues is None:
            self.gathered.cues = Cues.of(self.sentences)
        return self.gathered.cues


def _cause(sentence: Sentence) -> str | None:
    marks = [mark for name, ms in sentence.marks.items() if name.startswith("cause_") for mark in ms]
    return min(marks, key=lambda mark: mark.start).name.removeprefix("cause_") if marks else None


def _stands_for_state(sentence: Sentence, adjective: PlaceMark) -> bool:
    """Tell `the Somali government` from `the Russian threat`."""
    return any(
        0 <= mark.start - adjective.end <= 1 or 0 <= adjective.start - mark.end <= 1
        for mark in sentence.of("government", "head", "authority")
    )


def _is_actor(sentence: Sentence, place: PlaceMark) -> bool:
    """`russischer Angriff`, `Israeli strikes`, `Russland hat Kiew angegriffen`: who does it, not where."""
    deeds = sentence.of("cause_attack", "cause_war", "forces")
    if place.kind == COUNTRY and sentence.is_glued(place.end) and sentence.texts[place.end].isalpha():
        return any(0 <= mark.start - place.end <= 1 for mark in deeds)  # `US-israelische Angriffe`, `US-Luftangriff`
    if place.kind == COUNTRY and not place.located:
        by = any(mark.end == place.start for mark in sentence.of("agent"))  # `durch Russland`, `by Israel`
        return by or any(mark.start >= place.end for mark in sentence.of("attacking"))
    if place.kind != ADJECTIVE:
        return False
    return any(0 <= mark.start - place.end <= 1 for mark in deeds) and not any(
        0 <= mark.start - place.end <= 1 for mark in sentence.of("people", "territory")
    )


def _sends(sentence: Sentence, place: PlaceMark) -> bool:
    origins = {mark.end for mark in sentence.of("origin")}
    for forces in sentence.of("forces"):
        if place.kind == ADJECTIVE and 0 <= forces.start - place.end <= 1:
            return True
        if place.start in origins and 0 <= place.start - forces.end <= _ORIGIN_REACH:
            return True
    return not place.located and any(
        0 <= mark.start - place.end <= 1 for mark in sentence.of("sending") if sentence.of("forces")
    )


def _speaks(sentence: Sentence, place: PlaceMark) -> bool:
    """Tell of `Israel verkündet …`, `Russia said …`, `British media report`: a state or a press that tells of it."""
    if place.kind == ADJECTIVE:
        return any(0 <= mark.start - place.end <= 1 for mark in sentence.of("media"))
    return place.kind == COUNTRY and not place.located and any(m.start == place.end for m in sentence.of("saying"))


def _is_dateline(sentence: Sentence, place: PlaceMark) -> bool:
    """`Iran:`, `Türkei: Hotel evakuiert`: the title's first word says where."""
    after = place.end
    return sentence.field == "title" and place.start == 0 and after < len(sentence) and sentence.texts[after] == ":"


def _tier(place: PlaceMark) -> int:
    """Rank what another sentence names: `in Kyiv` before `Ukraine`, and `the Kremlin` stands for no place."""
    if place.kind == INSTITUTION:
        return _TIERS[-1]
    return 0 if place.located and place.kind != ADJECTIVE else 1


def _awkwardness(place: PlaceMark, near: int, known: Counter[str]) -> tuple[int, int]:
    rank = 0 if place.located and place.kind != ADJECTIVE else 1
    if place.kind == ADJECTIVE:
        rank = 1 if place.located else 2
    if place.kind == INSTITUTION:
        rank = 3
    elif place.kind in {CITY, TOWN} and known[place.code] <= 1 and known.total() > 1:
        rank += 1  # a town of a country that nothing else here speaks of
    return rank, abs(place.start - near)


def annotate(
    sentence: Sentence, lexicon: Lexicon, gazetteer: Gazetteer, begun: Iterable[tuple[int, Begun]] | None = None
) -> None:
    """Fill a sentence's marks, and say how its places and quantities are read; *begun* is the lexicon's, if known."""
    lexicon.mark(sentence, begun)
    sentence.read_places = gazetteer.mark
    sentence.read_quantities = quantities.read
