"""The words around what feeds say, in each language of a receiver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tocsin.records import Certainty, DismissalKind, Severity, Step, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One language. Braces are filled in by `telling`; nouns that count come as (exactly one, any other number)."""

    language: str
    severity: Mapping[Severity, str]
    certainty: Mapping[Certainty, str]
    tier: Mapping[Tier, str]
    step: Mapping[Step, str]
    dismissal: Mapping[DismissalKind | None, str]
    happening: Mapping[str, str]
    alliance: Mapping[str, str]
    topic: Mapping[str, str]
    dead: tuple[str, str]
    about: str
    at_least: str
    up_to: str
    between: str
    nobody_knows: str
    sure: str
    troops: str
    burst: str
    was: str
    claimed: str
    disputed: str
    withdrawn: str
    in_place: str
    according_to: str
    quoted_in: str
    severity_label: str
    certainty_label: str
    known_before: str
    sources: tuple[str, str]
    seen: str
    opening: tuple[str, str]
    opening_note: str
    budget: tuple[str, str]
    budget_note: str
    more: str
    because: str


_E, _S, _M, _I = Severity.EXTREME, Severity.SEVERE, Severity.MODERATE, Severity.MINOR

ENGLISH: Final = Frame(
    language="en",
    severity={_E: "extreme", _S: "severe", _M: "moderate", _I: "minor"},
    certainty={Certainty.CONFIRMED: "confirmed", Certainty.REPORTED: "reported", Certainty.POSSIBLE: "possible"},
    tier={
        Tier.OFFICIAL: "official",
        Tier.WIRE: "news agency",
        Tier.NATIONAL: "national",
        Tier.REGIONAL: "regional",
        Tier.LOCAL: "local",
        Tier.OTHER: "other",
    },
    step={Step.NEW: "", Step.ESCALATION: "", Step.UPDATE: "Update: ", Step.CORRECTION: "CORRECTION: "},
    dismissal={
        DismissalKind.DISMISSED: "Government dismissed",
        DismissalKind.RESIGNED: "Government resigned",
        DismissalKind.TOPPLED: "Government toppled",
        DismissalKind.NO_CONFIDENCE: "Government lost a vote of no confidence",
        None: "Government dismissed",
    },
    happening={
        "unrest": "unrest",
        "attack": "attack",
        "accident": "accident",
        "disaster": "disaster",
        "war": "war",
        "epidemic": "epidemic",
        "politics": "politics",
    },
    alliance={"AU": "African Union", "EU": "European Union", "UN": "United Nations"},
    topic={"deaths": "deaths", "foreign_troops": "foreign troops", "government_dismissal": "the end of a government"},
    dead=("dead", "dead"),
    about="about {}",
    at_least="at least {}",
    up_to="up to {}",
    between="{} to {}",
    nobody_knows="an unknown number",
    sure="{} {}",
    troops="Foreign troops",
    burst="Unusually many articles on {topic}: {count} in {hours} h, usually {usual}",
    was="was: {}",
    claimed="others say {}",
    disputed="disputed",
    withdrawn="taken back",
    in_place="{happening} in {place}",
    according_to="according to: {}",
    quoted_in="in {}",
    severity_label="Severity",
    certainty_label="Certainty",
    known_before="Known before",
    sources=("Source", "Sources ({} independent)"),
    seen="Seen",
    opening=("Opening picture: one open incident", "Opening picture: {} open incidents"),
    opening_note="These happened before I was watching, or were seen late. From now on each new step rings by itself.",
    budget=("Ring budget used up: one more incident", "Ring budget used up: {} more incidents"),
    budget_note="Subscription {subscription} allows {budget} rings; what came beyond that is listed here.",
    more="… and {} more",
    because="You get this because of the subscription {}.",
)

GERMAN: Final = Frame(
    language="de",
    severity={_E: "extrem", _S: "schwer", _M: "mittel", _I: "gering"},
    certainty={Certainty.CONFIRMED: "bestätigt", Certainty.REPORTED: "gemeldet", Certainty.POSSIBLE: "möglich"},
    tier={
        Tier.OFFICIAL: "amtlich",
        Tier.WIRE: "Nachrichtenagentur",
        Tier.NATIONAL: "überregional",
        Tier.REGIONAL: "regional",
        Tier.LOCAL: "lokal",
        Tier.OTHER: "sonstige",
    },
    step={Step.NEW: "", Step.ESCALATION: "", Step.UPDATE: "Neuer Stand: ", Step.CORRECTION: "KORREKTUR: "},
    dismissal={
        DismissalKind.DISMISSED: "Regierung entlassen",
        DismissalKind.RESIGNED: "Regierung zurückgetreten",
        DismissalKind.TOPPLED: "Regierung gestürzt",
        DismissalKind.NO_CONFIDENCE: "Regierung das Vertrauen entzogen",
        None: "Regierung entlassen",
    },
    happening={
        "unrest": "Unruhen",
        "attack": "Anschlag",
        "accident": "Unfall",
        "disaster": "Katastrophe",
        "war": "Krieg",
        "epidemic": "Seuche",
        "politics": "Politik",
    },
    alliance={
        "AU": "Afrikanische Union",
        "EU": "Europäische Union",
        "UN": "Vereinte Nationen",
        "CSTO": "OVKS",
    },
    topic={"deaths": "Tote", "foreign_troops": "fremde Truppen", "government_dismissal": "das Ende einer Regierung"},
    dead=("Toter", "Tote"),
    about="etwa {}",
    at_least="mindestens {}",
    up_to="bis zu {}",
    between="{} bis {}",
    nobody_knows="unbekannt viele",
    sure="{} {}",
    troops="Fremde Truppen",
    burst="Ungewöhnlich viele Artikel über {topic}: {count} in {hours} h, sonst {usual}",
    was="zuvor: {}",
    claimed="andere sagen {}",
    disputed="umstritten",
    withdrawn="zurückgenommen",
    in_place="{happening}, {place}",
    according_to="laut: {}",
    quoted_in="auf {}",
    severity_label="Schwere",
    certainty_label="Gewissheit",
    known_before="Schon bekannt",
    sources=("Quelle", "Quellen ({} unabhängige)"),
    seen="Gesehen",
    opening=("Lagebild: ein offenes Ereignis", "Lagebild: {} offene Ereignisse"),
    opening_note=(
        "Das geschah vor Beginn der Beobachtung oder wurde spät gesehen. "
        "Ab jetzt wird jeder neue Schritt einzeln gemeldet."
    ),
    budget=("Meldebudget verbraucht: ein weiteres Ereignis", "Meldebudget verbraucht: {} weitere Ereignisse"),
    budget_note="Das Abonnement {subscription} erlaubt {budget} Meldungen; was darüber hinausging, steht hier.",
    more="… und {} weitere",
    because="Diese Nachricht kommt wegen des Abonnements {}.",
)

RUSSIAN: Final = Frame(
    language="ru",
    severity={_E: "чрезвычайная", _S: "высокая", _M: "средняя", _I: "низкая"},
    certainty={
        Certainty.CONFIRMED: "подтверждено",
        Certainty.REPORTED: "по сообщениям",
        Certainty.POSSIBLE: "возможно",
    },
    tier={
        Tier.OFFICIAL: "официальный",
        Tier.WIRE: "агентство",
        Tier.NATIONAL: "общенациональный",
        Tier.REGIONAL: "региональный",
        Tier.LOCAL: "местный",
        Tier.OTHER: "прочий",
    },
    step={Step.NEW: "", Step.ESCALATION: "", Step.UPDATE: "Обновление: ", Step.CORRECTION: "ИСПРАВЛЕНИЕ: "},
    dismissal={
        DismissalKind.DISMISSED: "Правительство отправлено в отставку",
        DismissalKind.RESIGNED: "Правительство ушло в отставку",
        DismissalKind.TOPPLED: "Правительство свергнуто",
        DismissalKind.NO_CONFIDENCE: "Правительству вынесен вотум недоверия",
        None: "Правительство отправлено в отставку",
    },
    happening={
        "unrest": "беспорядки",
        "attack": "нападение",
        "accident": "авария",
        "disaster": "бедствие",
        "war": "война",
        "epidemic": "эпидемия",
        "politics": "политика",
    },
    alliance={
        "AU": "Африканский союз",
        "EU": "Европейский союз",
        "UN": "ООН",
        "CSTO": "ОДКБ",
        "NATO": "НАТО",
        "ECOWAS": "ЭКОВАС",
    },
    topic={"deaths": "погибшие", "foreign_troops": "иностранные войска", "government_dismissal": "конец правительства"},
    dead=("погибший", "погибших"),
    about="около {}",
    at_least="не менее {}",
    up_to="до {}",
    between="от {} до {}",
    nobody_knows="неизвестное число",
    sure="{}, {}",
    troops="Иностранные войска",
    burst="Необычно много статей на тему «{topic}»: {count} за {hours} ч, обычно {usual}",
    was="было: {}",
    claimed="по другим данным {}",
    disputed="оспаривается",
    withdrawn="опровергнуто",
    in_place="{place}: {happening}",
    according_to="источник: {}",
    quoted_in="язык: {}",
    severity_label="Тяжесть",
    certainty_label="Достоверность",
    known_before="Известно ранее",
    sources=("Источник", "Источники (независимых: {})"),
    seen="Замечено",
    opening=("Исходная картина: одно открытое событие", "Исходная картина: открытых событий — {}"),
    opening_note=(
        "Это произошло до начала наблюдения или было замечено поздно. "
        "Теперь о каждом новом шаге придёт отдельное сообщение."
    ),
    budget=("Лимит сообщений исчерпан: ещё одно событие", "Лимит сообщений исчерпан: ещё событий — {}"),
    budget_note="Подписка {subscription} допускает {budget} сообщений; всё сверх этого собрано здесь.",
    more="… и ещё {}",
    because="Вы получили это по подписке {}.",
)

FRAMES: Final[Mapping[str, Frame]] = {frame.language: frame for frame in (ENGLISH, GERMAN, RUSSIAN)}
