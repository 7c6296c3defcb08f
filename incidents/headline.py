"""One English line that says what is new: `12 dead confirmed (was: at least 8) — unrest in Almaty, Kazakhstan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.countries import country_name
from tocsin.matcher import BURST, DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL
from tocsin.records import Certainty, DismissalKind, Step, Toll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.records import Fact, Sender, Volume

PLACES_SHOWN: Final = 2
SENDERS_SHOWN: Final = 6

_CAUSES: Final = {
    "unrest": "unrest",
    "attack": "attack",
    "accident": "accident",
    "disaster": "disaster",
    "war": "fighting",
    "epidemic": "outbreak",
}
_ENDED: Final = {
    DismissalKind.DISMISSED: "government dismissed",
    DismissalKind.RESIGNED: "government resigned",
    DismissalKind.TOPPLED: "government toppled",
    DismissalKind.NO_CONFIDENCE: "government lost a confidence vote",
}
_MAY_END: Final = {
    DismissalKind.DISMISSED: "government may be dismissed",
    DismissalKind.RESIGNED: "government may resign",
    DismissalKind.TOPPLED: "government may be toppled",
    DismissalKind.NO_CONFIDENCE: "government may lose a confidence vote",
}


def headline(
    step: Step, facts: Sequence[Fact], *, happening: str | None, places: Sequence[str], country: str | None
) -> str:
    """Say what the changed *facts* are, then where."""
    told = [fact for fact in facts if fact.changed] or list(facts)
    # The graver and rarer fact first: a toll is in every second line that an editor reads.
    told.sort(
        key=lambda fact: (GOVERNMENT_DISMISSAL, FOREIGN_TROOPS, DEATHS).index(fact.type) if _is_known(fact) else 3
    )
    what = "; ".join(_fact(fact) for fact in told)
    what = what[:1].upper() + what[1:]
    if step is Step.CORRECTION:
        what = f"Correction: {what[:1].lower() + what[1:]}"
    where = _where(happening, places, country)
    return f"{what} — {where}" if where else what


def _is_known(fact: Fact) -> bool:
    return fact.type in (DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL)


def _where(happening: str | None, places: Sequence[str], country: str | None) -> str:
    spot = ", ".join(places[:PLACES_SHOWN])
    land = country_name(country) if country else ""
    where = ", ".join(part for part in dict.fromkeys((spot, land)) if part)
    cause = _CAUSES.get(happening or "", "")
    return f"{cause} in {where}" if cause and where else cause or where


def _fact(fact: Fact) -> str:
    if fact.type == DEATHS:
        text = _deaths(fact)
    elif fact.type == FOREIGN_TROOPS:
        text = _troops(fact)
    elif fact.type == GOVERNMENT_DISMISSAL:
        text = _dismissal(fact)
    elif fact.type == BURST and fact.volume is not None:
        text = _burst(fact.volume)
    else:
        text = fact.type.replace("_", " ") + ("" if fact.withdrawn else _surely(fact.certainty))
        text += " taken back" if fact.withdrawn else ""
    return f"disputed: {text}" if fact.disputed else text


def _surely(certainty: Certainty) -> str:
    return {Certainty.POSSIBLE: " feared", Certainty.REPORTED: " reported", Certainty.CONFIRMED: " confirmed"}[
        certainty
    ]


def _deaths(fact: Fact) -> str:
    if fact.withdrawn:
        return f"report of {count(fact.was or fact.toll)} dead taken back"
    text = f"{count(fact.toll)} dead{_surely(fact.certainty)}"
    if fact.claimed is not None:
        verb = "feared" if fact.claimed.certainty is Certainty.POSSIBLE else "reported"
        text += f", {count(fact.claimed.toll)} {verb}"
    if fact.changed and fact.was is not None and (fact.was != fact.toll or fact.was_certainty is not fact.certainty):
        was = count(fact.was)
        if fact.was_certainty is not None and fact.was_certainty is not fact.certainty:
            was += _surely(fact.was_certainty)
        text += f" (was: {was})"
    return text


def count(toll: Toll | None) -> str:
    """Say an interval in words: `at least 8`, `about 50`, `20 to 30`, `up to 9`."""
    if toll is None or (toll.min is None and toll.max is None):
        return "some"
    if toll.min is None:
        return f"up to {toll.max:,}"
    if toll.max is None:
        return f"at least {toll.min:,}"
    if toll.min != toll.max:
        return f"{toll.min:,} to {toll.max:,}"
    return f"about {toll.min:,}" if toll.approx else f"{toll.min:,}"


def _troops(fact: Fact) -> str:
    names = senders(fact.senders)
    of = f" ({names})" if names else ""
    if fact.withdrawn:
        return f"report of foreign troops{of} denied"
    word = {
        Certainty.POSSIBLE: "requested or considered",
        Certainty.REPORTED: "reported",
        Certainty.CONFIRMED: "sent",
    }[fact.certainty]
    return f"foreign troops {word}{of}"


def senders(found: Sequence[Sender]) -> str:
    """Name alliances by their code and states by their English name."""
    names = [sender.code if sender.alliance else country_name(sender.code) for sender in found if sender.code]
    if len(names) > SENDERS_SHOWN:
        return ", ".join(names[:SENDERS_SHOWN]) + f" and {len(names) - SENDERS_SHOWN} more"
    return ", ".join(names)


def _dismissal(fact: Fact) -> str:
    kind = fact.kind or DismissalKind.DISMISSED
    if fact.withdrawn:
        return f"report “{_ENDED[kind]}” denied"
    if fact.certainty is Certainty.POSSIBLE:
        return _MAY_END[kind]
    return _ENDED[kind] + (" (reported)" if fact.certainty is Certainty.REPORTED else "")


def _burst(volume: Volume) -> str:
    topic = volume.topic.replace("_", " ")
    was = f" (was: {volume.before:,})" if 0 < volume.before < volume.count else ""
    hours = volume.window_s // 3600
    return f"unusually many articles on {topic}: {volume.count:,} in {hours} h, usually {volume.usual:,}{was}"
