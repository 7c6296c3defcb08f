from __future__ import annotations

import pytest

from incidents.placenames import place_key, place_keys


@pytest.mark.parametrize(
    "names",
    [
        ("Osch", "Osh", "Ош"),
        ("Bischkek", "Bishkek", "Бишкек"),
        ("Taschkent", "Tashkent", "Ташкент"),
        ("Almaty", "Алматы"),
        ("Dhaka", "Дакка"),
        ("Kiew", "Kyiv", "Київ", "Киев"),
        ("Wien", "Вена"),
        ("Córdoba", "Cordoba"),
    ],
)
def test_one_town_has_one_key_in_every_language(names: tuple[str, ...]) -> None:
    keys = {place_key(name) for name in names}

    assert len(keys) == 1


def test_towns_of_one_country_differ() -> None:
    towns = ("Osch", "Bischkek", "Karakol", "Naryn", "Talas", "Batken", "Jalal-Abad", "Tokmok", "Kant")

    assert len({place_key(town) for town in towns}) == len(towns)


def test_a_country_is_no_place_in_itself() -> None:
    assert place_keys(("Estonia", "Narva"), "EE") == place_keys(("Narva",), "EE")
