"""Italian, Portuguese, Polish, Ukrainian, Turkish and Arabic: what their lexicons find, and what they leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detectors.engine import DetectorsConfig, prepare
from detectors.scan import event_json, scan

if TYPE_CHECKING:
    from detectors.engine import Engine

CONFIG = Path(__file__).parents[3] / "config"
LANGUAGES = ("it", "pt", "pl", "uk", "tr", "ar")


def dead(low: int | None, high: int | None, country: str | None, certainty: str = "confirmed") -> dict[str, object]:
    return {"type": "deaths", "min": low, "max": high, "country": country, "certainty": certainty}


def sent(senders: list[str], to: str, certainty: str = "confirmed") -> dict[str, object]:
    return {"type": "foreign_troops", "from": senders, "to": to, "certainty": certainty}


def gone(country: str, kind: str, certainty: str = "confirmed") -> dict[str, object]:
    return {"type": "government_dismissal", "country": country, "kind": kind, "certainty": certainty}


EVENTS = [
    ("it", "Crollo in una cava di marmo vicino a Carrara: tre operai hanno perso la vita.", dead(3, 3, "IT")),
    ("it", "Almeno quindici pescatori sono morti nel naufragio al largo del Senegal.", dead(15, None, "SN")),
    ("it", "La Norvegia ha inviato ottanta soldati in Lituania.", sent(["NO"], "LT")),
    ("it", "Il primo ministro del Nepal ha rassegnato le dimissioni.", gone("NP", "resigned")),
    ("it", "In Gabon i militari hanno deposto il presidente.", gone("GA", "toppled")),
    ("it", "Il Kenya e il Ghana invieranno trecento soldati in Liberia.", sent(["KE", "GH"], "LR")),
    ("pt", "Um autocarro caiu numa ravina no Peru e pelo menos 21 passageiros morreram.", dead(21, None, "PE")),
    ("pt", "Sobe para trinta e dois o número de mortos nas cheias em Luanda.", dead(32, 32, "AO")),
    ("pt", "A Dinamarca enviou um batalhão para a Letónia.", sent(["DK"], "LV")),
    ("pt", "O rei da Jordânia demitiu o governo.", gone("JO", "dismissed")),
    ("pt", "A Bélgica pondera o envio de 90 militares para o Burundi.", sent(["BE"], "BI", "possible")),
    ("pl", "Kilkunastu górników zginęło w wybuchu metanu w kopalni w Kazachstanie.", dead(11, 19, "KZ")),
    ("pl", "Liczba ofiar śmiertelnych trzęsienia ziemi w Nepalu wzrosła do 46.", dead(46, 46, "NP")),
    ("pl", "Dania wysłała do Estonii dwustu żołnierzy.", sent(["DK"], "EE")),
    ("pl", "Premier Bułgarii podał się do dymisji.", gone("BG", "resigned")),
    ("pl", "Parlament Słowacji uchwalił wotum nieufności wobec rządu.", gone("SK", "no_confidence")),
    ("uk", "Унаслідок зсуву в Непалі загинули щонайменше дев'ять людей.", dead(9, None, "NP")),
    ("uk", "Десятки пасажирів загинули в аварії потяга в Індії.", dead(20, None, "IN")),
    ("uk", "Канада відправила двісті військових до Латвії.", sent(["CA"], "LV")),
    ("uk", "Президент Вірменії відправив уряд у відставку.", gone("AM", "dismissed")),
    ("uk", "У Нігері військові скинули президента.", gone("NE", "toppled")),
    ("uk", "Жінка та троє її онуків загинули під час пожежі в Одесі.", dead(4, 4, "UA")),
    ("tr", "Nepal'deki heyelanda 12'den fazla kişi hayatını kaybetti.", dead(13, None, "NP")),
    ("tr", "Hindistan'da otobüs uçuruma yuvarlandı: 17 ölü, 25 yaralı.", dead(17, 17, "IN")),
    ("tr", "Kanada Letonya'ya üç yüz asker gönderdi.", sent(["CA"], "LV")),
    ("tr", "Ürdün Kralı hükümeti görevden aldı.", gone("JO", "dismissed")),
    ("tr", "Hollanda, Kosova'ya bir tabur göndermeyi değerlendiriyor.", sent(["NL"], "XK", "possible")),
    ("ar", "لقي ثلاثة وعشرون راكبا مصرعهم في انقلاب حافلة في المغرب.", dead(23, 23, "MA")),
    ("ar", "مقتل جنديين في هجوم مسلح بالنيجر", dead(2, 2, "NE")),
    ("ar", "ارتفعت حصيلة قتلى الزلزال في أفغانستان إلى ٤٧.", dead(47, 47, "AF")),
    ("ar", "أرسلت المغرب مئتي جندي إلى مالي.", sent(["MA"], "ML")),
    ("ar", "أقال ملك الأردن الحكومة.", gone("JO", "dismissed")),
]

NOTHING = [
    ("it", "L'incendio di Brescia non ha causato vittime, solo danni alla fabbrica."),
    ("it", "Cento anni fa nella frana morirono venti minatori, ricordati con una cerimonia nell'anniversario."),
    ("it", "Nel romanzo un medico uccide tre pazienti a Torino."),
    ("it", "La Svezia ritira cento soldati dal Mali."),
    ("it", "Le opposizioni chiedono le dimissioni del governo bulgaro."),
    ("pt", "O incêndio em Braga provocou oito feridos."),
    ("pt", "Ninguém morreu no descarrilamento perto de Coimbra."),
    ("pt", "O realizador apresentou um filme em que morrem cinco soldados."),
    ("pt", "A Noruega retirou os seus militares do Níger."),
    ("pt", "O ministro da Agricultura da Argentina demitiu-se."),
    ("pl", "W pożarze hali w Łodzi nikt nie zginął."),
    ("pl", "W rocznicę bitwy uczczono pamięć czterystu zabitych żołnierzy."),
    ("pl", "W kryminale komisarz szuka sprawcy, który zabił pięć kobiet."),
    ("pl", "Norwegia wycofała swoich żołnierzy z Mali."),
    ("pl", "Minister rolnictwa Czech podał się do dymisji."),
    ("uk", "Пожежа на складі у Львові обійшлася без жертв."),
    ("uk", "У фільмі вбивають трьох поліцейських."),
    ("uk", "Норвегія вивела своїх військових з Малі."),
    ("uk", "Опозиція вимагає відставки уряду Болгарії."),
    ("uk", "У річницю катастрофи вшанували пам'ять сорока загиблих гірників."),
    ("tr", "İzmir'deki depo yangınında can kaybı yaşanmadı."),
    ("tr", "Romanda üç polis öldürülüyor."),
    ("tr", "Norveç, Mali'deki askerlerini geri çekti."),
    ("tr", "Muhalefet, Bulgaristan Başbakanı'nın istifasını istedi."),
    ("tr", "Facianın yıl dönümünde ölen kırk madenci törenle anıldı."),
    ("ar", "اندلع حريق في مصنع بمدينة وهران من دون وقوع ضحايا."),
    ("ar", "في الرواية يقتل البطل ثلاثة رجال في باريس."),
    ("ar", "سحبت النرويج جنودها من مالي."),
    ("ar", "طالبت المعارضة باستقالة حكومة بلغاريا."),
    ("ar", "أحيا الأهالي ذكرى مقتل أربعين عاملا في انهيار المنجم."),
]


@pytest.fixture(scope="module")
def engine() -> Engine:
    whole = DetectorsConfig.load(CONFIG)
    return prepare(DetectorsConfig.of(whole.rules, [one for one in whole.lexicons if one.language in LANGUAGES]))


@pytest.mark.parametrize(("language", "text", "expected"), EVENTS)
def test_an_event_is_read_with_its_attributes(
    engine: Engine, language: str, text: str, expected: dict[str, object]
) -> None:
    found = scan(engine, id="one", title="", text=text, language=language)

    told = [event_json(event) for event in found.events]
    assert [{key: event.get(key) for key in expected} for event in told] == [expected]


@pytest.mark.parametrize(("language", "text"), NOTHING)
def test_what_is_no_current_event_is_left_alone(engine: Engine, language: str, text: str) -> None:
    found = scan(engine, id="one", title="", text=text, language=language)

    assert found.events == ()
