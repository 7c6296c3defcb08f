"""Dates as feeds write them, in several languages. Nothing here raises: what cannot be read is None."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

LONGEST_DATE = 100  # characters; what is longer is no date
FIRST_YEAR, LAST_YEAR = 1970, 2100

_ENGLISH = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_ENGLISH |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}

# Prefixes of month names, longest first within a month where one begins another. A word is read by its longest
# prefix in this table, so inflected and abbreviated forms need no line of their own.
_MONTH_PREFIXES: dict[str, int] = {}
for _number, _prefixes in enumerate(
    (
        "jan jän ene gen янв січ oca sty يناير كانون_الثاني",
        "feb fév fev févr febr фев лют şub sub lut فبراير شباط",
        "mar mär mrz maer март мар берез бер مارس آذار اذار",
        "apr avr abr апр квіт кві nis kwi أبريل ابريل إبريل نيسان",
        "may mai mag maj мая май трав тра mayıs مايو أيار ايار",
        "jun juin giu cze июн черв чер haz يونيو حزيران",
        "jul juil lug lip июл лип tem يوليو تموز",
        "aug août aou ago sie авг серп сер ağu agu أغسطس اغسطس آب",
        "sep set wrz sept сен верес вер eyl سبتمبر أيلول ايلول",
        "oct okt ott out paź paz окт жовт жов eki أكتوبر اكتوبر تشرين_الأول تشرين_الاول",
        "nov lis ноя лист kas نوفمبر تشرين_الثاني",
        "dec dez dic déc gru дек груд гру ara ديسمبر كانون_الأول كانون_الاول",
    ),
    1,
):
    for _prefix in _prefixes.split():
        _MONTH_PREFIXES[_prefix.replace("_", " ")] = _number
_LONGEST_PREFIX = max(map(len, _MONTH_PREFIXES))
# Weekdays that begin like a month: French, Spanish, Italian, Turkish, Ukrainian.
_NO_MONTH = re.compile(r"(?:mar(?:di|tes|ted)|pazar|серед)", re.IGNORECASE)

# RFC 822 names a few, the rest is what feeds write. Ambiguous ones have their commonest use in news.
_ZONES_H: dict[str, float] = {
    "z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0, "west": 1, "bst": 1, "ist": 5.5, "cet": 1, "met": 1, "mez": 1,
    "cest": 2, "mest": 2, "mesz": 2, "eet": 2, "eest": 3, "msk": 3, "trt": 3, "est": -5, "edt": -4, "cst": -6,
    "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "akst": -9, "akdt": -8, "hst": -10, "ast": -4, "brt": -3,
    "art": -3, "sast": 2, "pkt": 5, "almt": 6, "sgt": 8, "hkt": 8, "jst": 9, "kst": 9, "aest": 10, "aedt": 11,
    "acst": 9.5, "awst": 8, "nzst": 12, "nzdt": 13,
}  # fmt: skip

_RFC822 = re.compile(
    r"(?:[A-Za-z]{3},? +)?(\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d)(?::(\d\d))?(?: ([+-]\d{4}|GMT|UTC?|Z))?",
    re.ASCII,
)
_ISO = re.compile(
    r"(\d{4})-?(\d\d)?-?(\d\d)?"
    r"(?:[Tt ]\s*(\d\d):?(\d\d)(?::?(\d\d))?(?:[.,]\d+)?\s*([A-Za-z]{1,4}|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_TIME = re.compile(r"(?<!\d)(\d{1,2})[:.h](\d\d)(?:[:.](\d\d))?(?:[.,]\d+)?(?!\d)\s*([ap]\.?m\b\.?)?", re.IGNORECASE)
_OFFSET = re.compile(r"(?:gmt|utc)?\s*([+-])(\d{1,2}):?(\d\d)?\b", re.IGNORECASE)
_NUMERIC = re.compile(r"(?<!\d)(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?!\d)")
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[./-](\d{1,2})[./-](\d{1,2})(?!\d)")
_WORD = re.compile(r"[^\W\d_]+(?: (?:الثاني|الأول|الاول))?")
_NUMBER = re.compile(r"\d+")
_EPOCH = re.compile(r"\d{10}(?:\d{3})?")
_ARABIC_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789")


@lru_cache(maxsize=2048)
def read_date(raw: str) -> datetime | None:
    """Return the instant that *raw* tells, in UTC; a missing zone is taken for UTC.

    None when it tells none, or one outside the years 1970 to 2100: feeds write 0001, 1899 and 9999 for "unknown".
    """
    if not raw or len(raw) > LONGEST_DATE:
        return None
    told = " ".join(raw.translate(_ARABIC_DIGITS).split())
    try:
        found = _rfc822(told) or _iso(told) or _loose(told)
    except (ValueError, OverflowError):
        return None
    return found if found is not None and FIRST_YEAR <= found.year <= LAST_YEAR else None


def _rfc822(told: str) -> datetime | None:
    match = _RFC822.fullmatch(told)
    if match is None:
        return None
    day, name, year, hour, minute, second, zone = match.groups()
    month = _ENGLISH.get(name.lower())
    if month is None:
        return None
    return _instant(int(year), month, int(day), (int(hour), int(minute), int(second or 0)), _offset(zone))


def _iso(told: str) -> datetime | None:
    match = _ISO.fullmatch(told)
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    if len(told) == 8 and "-" not in told and month is None:  # noqa: PLR2004 — eight digits without dashes
        return None
    clock = (int(hour or 0), int(minute or 0), int(second or 0))
    return _instant(int(year), int(month or 1), int(day or 1), clock, _offset(zone))


def _loose(told: str) -> datetime | None:
    """Find day, month, year, time and zone wherever they stand."""
    if _EPOCH.fullmatch(told):
        seconds = int(told[:10])
        return datetime.fromtimestamp(seconds, UTC)
    date, rest = _digits(told)
    clock, zone = (0, 0, 0), timedelta(0)
    if (time := _TIME.search(rest)) is not None:
        hour, half = int(time[1]), (time[4] or "").lower()
        if half.startswith("p") and hour < 12:  # noqa: PLR2004 — noon
            hour += 12
        elif half.startswith("a") and hour == 12:  # noqa: PLR2004 — midnight in English
            hour = 0
        clock = (hour, int(time[2]), int(time[3] or 0))
        after = rest[time.end() :]
        zone = _zone_in(after)
        rest = rest[: time.start()] + " " + _OFFSET.sub(" ", after)
    date = date or _words(rest)
    return None if date is None else _instant(*date, clock, zone)


def _digits(told: str) -> tuple[tuple[int, int, int] | None, str]:
    """Return a date written in digits alone, and what stands around it."""
    if (match := _YEAR_FIRST.search(told)) is not None:
        date = (int(match[1]), int(match[2]), int(match[3]))
    elif (match := _NUMERIC.search(told)) is not None:
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        # Only an American writes slashes and a day above twelve in the second place.
        date = (year, first, second) if second > 12 else (year, second, first)  # noqa: PLR2004 — months
    else:
        return None, told
    return date, told[: match.start()] + " " + told[match.end() :]


def _words(told: str) -> tuple[int, int, int] | None:
    """Return a date whose month is a word."""
    months = [month for word in _WORD.finditer(told) if (month := _month(word[0])) is not None]
    numbers = [int(number) for number in _NUMBER.findall(told)]
    if not months or not numbers:
        return None
    years = [number for number in numbers if number >= FIRST_YEAR]
    days = [number for number in numbers if 1 <= number <= 31]  # noqa: PLR2004 — days of a month
    if years:
        return (years[0], months[-1], days[0]) if days else None
    if len(numbers) < 2:  # noqa: PLR2004 — a day and a two-digit year
        return None
    short = numbers[1]
    return (2000 + short if short < 70 else 1900 + short), months[-1], numbers[0]  # noqa: PLR2004 — RFC 2822, 4.3


def _month(word: str) -> int | None:
    if _NO_MONTH.match(word):
        return None
    lowered = word.replace("İ", "i").lower()
    for length in range(min(len(lowered), _LONGEST_PREFIX), 2, -1):
        if (month := _MONTH_PREFIXES.get(lowered[:length])) is not None:
            return month
    return _MONTH_PREFIXES.get(lowered)


def _zone_in(told: str) -> timedelta:
    if (match := _OFFSET.search(told)) is not None:
        return _offset(f"{match[1]}{int(match[2]):02d}{match[3] or '00'}")
    for word in _WORD.finditer(told):
        if word[0].lower() in _ZONES_H:
            return _offset(word[0])
    return timedelta(0)


def _offset(zone: str | None) -> timedelta:
    """Return what *zone* is ahead of UTC; an unknown name counts as UTC."""
    if not zone:
        return timedelta(0)
    if zone[0] in "+-":
        minutes = int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)
        return timedelta(minutes=-minutes if zone[0] == "-" else minutes)
    return timedelta(hours=_ZONES_H.get(zone.lower(), 0))


def _instant(year: int, month: int, day: int, clock: tuple[int, int, int], ahead: timedelta) -> datetime:
    hour, minute, second = clock
    carry = timedelta(0)
    if hour == 24:  # noqa: PLR2004 — ISO 8601: the end of that day
        hour, carry = 0, timedelta(days=1)
    second = min(second, 59)  # a leap second
    local = datetime(year, month, day, hour, minute, second, tzinfo=timezone(timedelta(0))) + carry
    return (local - ahead).astimezone(UTC)
