"""Everything that reads articles, built once per process from data: `prepare(config)`, then `read(engine, article)`."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Final

from detectors import deaths, dismissal, passing, slots, troops
from detectors.candidates import Candidate, judge
from detectors.document import Document, annotate
from detectors.languages import language_of
from detectors.lexicon import Lexicon
from detectors.merge import merged
from detectors.places import Gazetteer
from detectors.prefilter import REMEMBERED_BITS, Prefilter
from detectors.rules import Rule, compiled, with_words
from detectors.settings import LexiconSettings, RuleFile, RuleSettings
from detectors.tokens import fold, split
from detectors.unseen import cleaned, restored
from detectors.wording import Wording
from tocsin import yamlfile
from tocsin.records import Article, Certainty, Detection, Mention, Reading, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import ModuleType

    from detectors.prefilter import Hit
    from detectors.tokens import Sentence

LEAD_CHARS: Final = 400
TEXT_CHARS: Final = 40_000  # the news stands at the top; what is longer is a ticker or a dossier
CHARS_LOOKED_AT: Final = 4 * TEXT_CHARS  # in which so many may be that nobody sees
PLACE_FREE_HITS: Final = 40
CANDIDATES_A_RULE: Final = 1000  # two or three a sentence of the longest text; what brings more is no news
_FINDERS: Final = {"deaths": deaths, "foreign_troops": troops, "government_dismissal": dismissal}
_OPENING: Final = 12  # sentences from the top that are read closely when any sentence is
_AROUND: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorsConfig:
    """What a child process needs to read articles; travels by pickle. `version` is a digest of the content."""

    rules: tuple[RuleSettings, ...]
    lexicons: tuple[LexiconSettings, ...]
    version: str

    @classmethod
    def load(cls, config: Path, *more: Path) -> DetectorsConfig:
        """Read `rules/*.yaml` and `lexicons/*.yaml` under *config*; a file of the same name under *more* replaces it.

        Raises:
            SettingsInvalid: with every mistake as file:line:col.
        """
        rules: list[RuleSettings] = []
        for path in _overlaid("rules", config, *more):
            rules += yamlfile.validate(RuleFile, yamlfile.load(path)).rules
        lexicons = [
            yamlfile.validate(LexiconSettings, yamlfile.load(path)) for path in _overlaid("lexicons", config, *more)
        ]
        return cls.of(rules, lexicons)

    @classmethod
    def of(cls, rules: Sequence[RuleSettings], lexicons: Sequence[LexiconSettings]) -> DetectorsConfig:
        """Put parts together; the version is that of their content."""
        parts = [model.model_dump_json(exclude={"tests"}) for model in (*rules, *lexicons)]
        return cls(rules=tuple(rules), lexicons=tuple(lexicons), version=digest("detectors-1", *parts))


def _overlaid(folder: str, *roots: Path) -> list[Path]:
    found: dict[str, Path] = {}
    for root in roots:
        for path in sorted((root / folder).glob("*.yaml")):
            found[path.name] = path
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examined:
    """One article with all that was thought about it; for the explanation."""

    document: Document | None
    language: str | None
    candidates: tuple[Candidate, ...]
    detections: tuple[Detection, ...]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make many objects that stay, and spare the collections that would walk them all again and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Tongue:
    """One language made ready, on its first article."""

    def __init__(self, settings: LexiconSettings, rules: Sequence[Rule]) -> None:
        self.settings = settings
        self._rules = rules
        self._able: dict[int, tuple[Rule, ...]] = {}

    @cached_property
    def lexicon(self) -> Lexicon:
        """The compiled classes."""
        with _uncollected():
            return Lexicon(self.settings)

    @cached_property
    def gazetteer(self) -> Gazetteer:
        """The places."""
        return Gazetteer(self.settings.language, self.settings)

    @cached_property
    def prefilter(self) -> Prefilter:
        """What sorts out most sentences by their letters."""
        return Prefilter(self.lexicon, [pattern for rule in self._rules for pattern in rule.patterns])

    def is_promising(
        self, fields: Mapping[str, str], folded: Mapping[str, str], hits: Mapping[str, Sequence[Hit]]
    ) -> bool:
        """Tell whether some rule finds anything at all: most articles end here, few of them cut into words."""
        if not self._suffices(hits):
            return False
        hits = {name: self.prefilter.remaining(folded[name], some) for name, some in hits.items()}
        if not self._suffices(hits):
            return False
        found = {name: self.prefilter.promising(text, folded[name], hits[name]) for name, text in fields.items()}
        return any(hot for hot, _ in found.values()) and any(
            self._finds(fields[name][start:end], name) for name, (_, parts) in found.items() for start, end in parts
        )

    def _suffices(self, hits: Mapping[str, Sequence[Hit]]) -> bool:
        bits = 0
        for some in hits.values():
            for _, bit, _ in some:
                bits |= bit
        return bits != 0 and self.prefilter.suffices(bits)

    def _finds(self, text: str, field: str) -> bool:
        """Tell whether a rule finds something in a sentence of *text*, whatever stands around it."""
        language, lexicon = self.settings.language, self.lexicon
        for sentence in split(text, field=field, language=language, abbreviations=lexicon.abbreviations):
            begun, bits = lexicon.begun(sentence)
            rules = self.able(bits)
            if rules:
                annotate(sentence, lexicon, self.gazetteer, begun)
                if any(_finder(rule).finds(sentence, rule, language) for rule in rules):
                    return True
        return False

    def able(self, bits: int) -> tuple[Rule, ...]:
        """Return the rules that may find something in a sentence of these classes (see `Lexicon.bits`)."""
        least, asked = self._least
        bits &= asked
        known = self._able.get(bits)
        if known is None:
            if len(self._able) >= REMEMBERED_BITS:
                self._able.clear()
            known = tuple(rule for rule, ways in least if any(all(bits & group for group in way) for way in ways))
            self._able[bits] = known
        return known

    @cached_property
    def _least(self) -> tuple[list[tuple[Rule, list[tuple[int, ...]]]], int]:
        """Each rule with the groups of bits one of each of which it needs, way by way; and all bits among them."""
        asked = 0
        found: list[tuple[Rule, list[tuple[int, ...]]]] = []
        for rule in self._rules:
            ways = dict.fromkeys(_finder(rule).least(rule, self.settings.language))
            found.append((rule, [tuple(self.lexicon.bits(names) for names in groups) for groups in ways]))
            asked |= self.lexicon.bits(name for groups in ways for names in groups for name in names)
        return found, asked

    def sentences(
        self, fields: Mapping[str, str], hits: Mapping[str, Sequence[Hit]], *, closely: bool
    ) -> list[Sentence]:
        """Cut the fields into sentences, and mark the opening and those around every one that can match, or all."""
        found: list[Sentence] = []
        hot: set[int] = set()
        for name, text in fields.items():
            some = list(
                split(text, field=name, language=self.settings.language, abbreviations=self.lexicon.abbreviations)
            )
            if some and hits.get(name):
                hot.update(len(found) + place for place in self.prefilter.hot(hits[name], some))
            found += some
        if closely:
            hot = set(range(len(found)))
        if hot:
            near = {i for place in hot for i in range(place - _AROUND, place + _AROUND + 1)} | set(range(_OPENING))
            for place in sorted(near):
                if 0 <= place < len(found):
                    annotate(found[place], self.lexicon, self.gazetteer)
        return found


def _sound(text: str) -> str:
    """Return *text* with a replacement character for each half of a surrogate pair, of which JSON may bring any."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _finder(rule: Rule) -> ModuleType:
    return _FINDERS.get(rule.settings.type, slots)


class Engine:
    """Compiled rules and languages. Holds no state that an article changes, but for remembered words."""

    def __init__(self, config: DetectorsConfig) -> None:
        self.version = config.version
        self.rules = tuple(compiled(rule) for rule in config.rules)
        self._patterned = tuple(rule for rule in self.rules if rule.patterns)
        self._worded = tuple(rule for rule in self.rules if rule.keywords or rule.query)
        self._wording = Wording(self._worded)
        self._coded = tuple(rule for rule in self.rules if rule.function)
        self.tongues = {
            settings.language: Tongue(with_words(settings, config.rules), self._patterned)
            for settings in config.lexicons
        }
        self._known = frozenset(self.tongues)

    def examine(
        self,
        fields: Mapping[str, str],
        *,
        language: str | None,
        published: datetime | None = None,
        article: Article | None = None,
        closely: bool = False,
    ) -> Examined:
        """Read the fields (title, summary, text) as one text; *closely*, whatever a first look says of it."""
        read = {name: cleaned(_sound(text[:CHARS_LOOKED_AT])) for name, text in fields.items() if text}
        fields = {name: text[:TEXT_CHARS] for name, (text, _) in read.items()}
        opening = (
            "\n".join(fields.values())
            if len(next(iter(fields.values()), "")) < LEAD_CHARS
            else next(iter(fields.values()))
        )
        spoken = language_of(opening[:LEAD_CHARS], prior=language, known=self._known)
        tongue = self.tongues.get(spoken or "")
        folded = {name: fold(text, spoken or "") for name, text in fields.items()}
        hits = {name: tongue.prefilter.hits(text, fields[name]) for name, text in folded.items()} if tongue else {}
        close = tongue is not None and (closely or tongue.is_promising(fields, folded, hits))
        worded = self._wording.possible(fields, folded, spoken or "") if self._worded else ()
        if not close and not worded and not self._coded:
            return Examined(document=None, language=spoken or language, candidates=(), detections=())
        candidates: list[Candidate] = []
        document: Document | None = None
        if close or worded:
            document = self._document(fields, spoken, tongue, published, hits, closely=closely)
        if close and document is not None and tongue is not None:
            classes = {name for sentence in document.sentences for name in sentence.marks}
            able = tongue.able(tongue.lexicon.bits(classes))
            rules = [rule for rule in able if not rule.settings.languages or spoken in rule.settings.languages]
            found = [(rule, list(islice(_finder(rule).find(document, rule), CANDIDATES_A_RULE))) for rule in rules]
            candidates += passing.judged(document, found)
        if document is not None:
            candidates += self._by_words(worded, document, spoken)
        detections = merged(candidates)
        shifts = {name: shift for name, (_, shift) in read.items() if shift is not None}
        if shifts:
            candidates, detections = restored(shifts, document, candidates, detections)
        if article is not None:
            for rule in self._coded:
                if rule.function is not None:
                    detections += rule.function(article)
        return Examined(
            document=document, language=spoken or language, candidates=tuple(candidates), detections=tuple(detections)
        )

    @staticmethod
    def _document(
        fields: Mapping[str, str],
        spoken: str | None,
        tongue: Tongue | None,
        published: datetime | None,
        hits: Mapping[str, Sequence[Hit]],
        *,
        closely: bool,
    ) -> Document:
        if tongue is not None:
            sentences = tongue.sentences(fields, hits, closely=closely)
        else:
            sentences = [
                sentence
                for name, text in fields.items()
                for sentence in split(text, field=name, language=spoken or "", abbreviations=frozenset())
            ]
        home = tongue.settings.home if tongue else None
        return Document(language=spoken or "", home=home, sentences=sentences, fields=dict(fields), published=published)

    def _by_words(self, rules: Iterable[Rule], document: Document, spoken: str | None) -> Iterable[Candidate]:
        for rule in rules:
            if rule.settings.languages and spoken not in rule.settings.languages:
                continue
            found = rule.keywords.find(document) if rule.keywords else rule.query.find(document) if rule.query else []
            if not found:
                continue
            tongue = self.tongues.get(spoken or "")
            if tongue is not None:
                for sentence in document.neighbours(found[0][0], _OPENING):
                    if not sentence.marks:
                        annotate(sentence, tongue.lexicon, tongue.gazetteer)
                document.forget()
            first, start, end = found[0]
            country, place, there = document.where(first, start)
            shown = [document.evidence(s, a, b, "words") for s, a, b in found[:PLACE_FREE_HITS]]
            if place is not None and there is not None:
                shown.append(document.evidence(there, place.start, place.end, "country"))
            detection = Detection(
                type=rule.settings.type,
                certainty=Certainty.CONFIRMED,
                rule=rule.settings.id,
                severity=rule.settings.severity,
                evidence=tuple(dict.fromkeys(shown)),
                country=country,
                places=document.named_places(first, country),
            )
            yield judge(document, rule, detection, first, [start, end - 1])


def prepare(config: DetectorsConfig) -> Engine:
    """Build the engine; what a worker child runs once."""
    return Engine(config)


def read(engine: Engine, article: Article) -> Reading:
    """All that one revision states. A detection without a place takes the feed's country as a marked guess."""
    fields = {"title": article.title}
    if article.summary and not article.text.startswith(article.summary[:200]):
        fields["summary"] = article.summary
    fields["text"] = article.text
    found = engine.examine(
        fields, language=article.language, published=article.published_at or article.seen_at, article=article
    )
    detections = tuple(
        replace(d, country=article.country, country_guessed=True)
        if d.country is None and article.country and not d.denied
        else d
        for d in found.detections
    )
    detections = tuple(replace(d, sentence=_sentence(found.document, d)) for d in detections)
    return Reading(
        article=article.id,
        revision=article.revision,
        supersedes=article.supersedes,
        rules=engine.version,
        mention=Mention(
            feed=article.feed,
            source=article.source,
            language=found.language,
            url=article.url,
            title=article.title,
            lead=(article.summary or article.text)[:LEAD_CHARS],
            published_at=article.published_at,
            seen_at=article.seen_at,
            backfill=article.backfill,
        ),
        detections=detections,
    )


def _sentence(document: Document | None, detection: Detection) -> str:
    """Return the whole sentence in which the first evidence of *detection* stands."""
    if document is None or not detection.evidence:
        return ""
    first = detection.evidence[0]
    for sentence in document.sentences:
        if sentence.field == first.field and sentence.starts[0] <= first.start < sentence.ends[-1]:
            return document.fields[first.field][sentence.starts[0] : sentence.ends[-1]]
    return ""
