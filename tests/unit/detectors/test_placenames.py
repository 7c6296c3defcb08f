from importlib import resources

import pytest

from detectors.placenames import ADJECTIVE, Names, shipped
from detectors.tokens import words

LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "pl", "pt", "ru", "tr", "uk")
EACH = 37  # of half a million names; any other step would do


def lines(language: str) -> list[bytes]:
    source = resources.files("detectors") / "data" / f"places.{language}.tsv"
    return source.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_places_are_in_order_so_that_they_can_be_searched(language: str) -> None:
    found = lines(language)

    assert found == sorted(found)
    assert all(line.endswith(b"\n") and line.count(b"\t") == 2 for line in found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_shipped_name_is_found_by_its_first_word(language: str) -> None:
    names = shipped(language)

    for line in lines(language)[::EACH]:
        name, codes, kind = line.decode().rstrip("\n").split("\t")
        if not name.endswith("*"):
            first, *rest = words(name)[0]
            assert (tuple(rest), tuple(codes.split(",")), kind) in names.get(first), name


def test_longer_words_and_other_names_do_not_stand_in_the_way() -> None:
    data = "Rom\tIT\tk\nRom-Nord\tIT\tr\nRom.\tIT\tt\nRoma\tIT\tk\nRomów Las\tPL\tt\nRom’s\tIT\tt\nTal\tIL\tt\n"

    found = Names(data.encode(), "pl").get("Rom")

    assert [rest for rest, _, _ in found] == [(), ("Nord",), (".",), ("s",)]


def test_an_adjective_is_found_with_a_capital_too_and_a_name_only_as_it_is_written() -> None:
    names = Names("abchasisch*\tGE\ta\nnizza\tFR\tk\npolnisch\tPL\ta\nıraklı\tIQ\ta\n".encode(), "de")

    assert names.get("Polnisch") == names.get("polnisch") == (((), ("PL",), ADJECTIVE),)
    assert names.get("Iraklı") == (((), ("IQ",), ADJECTIVE),)
    assert names.get("Nizza") == ()
    assert names.starts == {"abchasisch": ("GE", ADJECTIVE)}


def test_an_open_name_of_several_words_takes_a_plural() -> None:
    found = Names(b"South African*\tZA\ta\n", "en").get("South")

    assert [rest for rest, _, _ in found] == [("African",), ("Africans",)]


@pytest.mark.parametrize("word", ["", "A", "\x00", "zzz", "Ω"])
def test_what_is_no_name_is_not_found(word: str) -> None:
    assert Names(b"Aachen\tDE\tm\n", "de").get(word) == ()
    assert shipped("xx").get(word) == ()
