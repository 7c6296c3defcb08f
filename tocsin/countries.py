"""Countries by their two letters (ISO 3166-1 alpha-2, and XK for Kosovo), and their names in a reader's language."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError

UNKNOWN: Final = "unknown"  # what an operator writes for "no country was named"

# CLDR lists these beside the countries: groups, pseudo-locales and islands that another code covers.
_NO_COUNTRY: Final = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"})
_OFTEN_MEANT: Final = {"UK": "GB", "EL": "GR", "KO": "KR"}
# CLDR's long forms read badly in a headline of sixty characters.
_SHORT_ENGLISH: Final = {
    "BA": "Bosnia",
    "CD": "DR Congo",
    "CG": "Congo",
    "CI": "Ivory Coast",
    "CZ": "Czech Republic",
    "HK": "Hong Kong",
    "MM": "Myanmar",
    "MO": "Macao",
    "PS": "Palestine",
    "TR": "Turkey",
}


@lru_cache(maxsize=64)
def _names(language: str) -> dict[str, str]:
    try:
        locale = Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        locale = Locale.parse("en")
    names = {code: str(name) for code, name in locale.territories.items() if len(code) == 2}  # noqa: PLR2004 - alpha-2
    if locale.language == "en":
        names.update(_SHORT_ENGLISH)
    return names


def is_country(code: str) -> bool:
    """Say whether *code* is a state's or territory's two capital letters."""
    return len(code) == 2 and code.isalpha() and code not in _NO_COUNTRY and code in _names("en")  # noqa: PLR2004 - alpha-2


def country_name(code: str, language: str = "en") -> str:
    """Return the country's usual name; the code itself when nobody knows it, English when nobody knows the language."""
    return _names(language).get(code, code)


def country_meant(code: str) -> str | None:
    """Guess which code was meant by one that is none: `UK` is `GB`, `kz` is `KZ`, `Kazakhstan` is `KZ`."""
    wanted = code.strip()
    upper = wanted.upper()
    if upper in _OFTEN_MEANT:
        return _OFTEN_MEANT[upper]
    if is_country(upper):
        return upper
    folded = wanted.casefold()
    return next(
        (known for known, name in _names("en").items() if name.casefold() == folded and is_country(known)), None
    )
