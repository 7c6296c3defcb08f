"""What the shipped rules and lexicons read, by family: `language | expected | title | text`, one line a case."""

import pytest

from detectors.engine import Engine
from detectors.scan import scan
from tocsin.records import Detection

DEATHS = """
de | 8.. confirmed KZ | | Mindestens acht Polizisten und Soldaten kamen in Almaty ums Leben.
de | 24.. confirmed NG | | Bewaffnete brachten in der Nacht im Norden Nigerias Dutzende Bauern um.
de | 4 confirmed DE | | Bei dem Brand in Bremen sind vier Bewohner erstickt, neun weitere wurden verletzt.
de | 2 reported SE | | Anwohnern zufolge sind bei der Schießerei in Malmö zwei Männer getötet worden.
de | ..40 possible CH | | Unter der Lawine im Wallis könnten bis zu 40 Menschen gestorben sein.
de | 201.. possible MZ | Nach dem Sturm: Mehr als 200 Tote in Mosambik befürchtet |
de | 1 confirmed AT | | In Graz hat ein Mann seine Nachbarin erstochen.
de | 1 confirmed DE | | Eine 82-Jährige ist bei einem Wohnungsbrand in Bremen gestorben.
de | 41 confirmed IN | Zahl der Toten nach Zugunglück in Indien steigt auf einundvierzig |
de | 47 confirmed TR | | Die türkischen Behörden korrigierten die Zahl der Todesopfer von 62 auf 47 nach unten.
en | 12.. confirmed AF | At least 12 dead in blast outside Kabul hospital |
en | 17 confirmed KE | Kenyan dormitory fire kills 17 |
en | 13.. confirmed PK | | More than a dozen guards were shot dead in Balochistan, the Pakistani army said.
en | 7..9 reported LB | | Between seven and nine people died in the strike near Beirut, according to local media.
en | 3 confirmed US | | A woman and her two sons died in a house fire in Baltimore.
en | 90 confirmed LY | | Ninety people drowned off Libya when a boat carrying 160 migrants capsized.
en | 11 confirmed MX | | Gunmen opened fire in a bar in Guanajuato, killing 11 people and wounding nine.
en | 21 confirmed NP | | Nepal's police revised the death toll down to 21 from 27.
ru | 5 confirmed RU | | В Дагестане в ДТП погибли пять человек, трое пострадали.
ru | 20.. confirmed ID | | Десятки людей погибли при землетрясении в Индонезии.
ru | 101.. confirmed IR | | Жертвами взрыва в иранском городе стали более ста человек, сообщили власти.
ru | 43 confirmed PK | | Число погибших при пожаре в Пакистане возросло до сорока трёх.
ru | 2.. possible CL | | Под завалами шахты в Чили могли погибнуть люди.
fr | 3 confirmed FR | | L'explosion a fait trois morts et vingt blessés à Lille.
fr | 10~ confirmed ML | | Une dizaine de soldats ont été tués dans une embuscade au Mali, a reconnu l'état-major.
fr | 20.. reported CF | | Des dizaines d'habitants auraient été tués en Centrafrique, rapporte une radio.
es | 9 confirmed BO | | El choque de dos autobuses dejó nueve muertos en Bolivia.
es | 53 confirmed CL | | El balance de los incendios en Chile pasó de 49 a 53 fallecidos.
es | 20.. reported VE | | Decenas de mineros habrían muerto al derrumbarse una mina en Venezuela, según la prensa.
"""

TROOPS = """
de | HU BA confirmed | | Ungarn schickt 200 Soldaten nach Bosnien.
de | CSTO,RU KZ confirmed | | Russland hat als Teil einer Truppe der OVKS Fallschirmjäger nach Kasachstan verlegt.
de | TR SY confirmed | | Im Morgengrauen überquerten türkische Panzer die Grenze zu Syrien.
de | FR UA possible | Paris schließt Bodentruppen in der Ukraine nicht aus |
de | ECOWAS NE possible | | Die Ecowas droht Niger mit dem Einmarsch ihrer Truppen.
de | NG,SN GM confirmed | | Soldaten aus Senegal und Nigeria sind in Gambia einmarschiert.
de | FR NE reported | | Wie aus Diplomatenkreisen verlautete, habe Frankreich Spezialkräfte nach Niger geschickt.
en | CA LV confirmed | | Canada will deploy 300 troops to Latvia next month.
en | AU SO confirmed | | The African Union will send 3,000 extra peacekeepers to Somalia.
en | EU MD possible | | Brussels is weighing an EU military mission to Moldova.
en | RW CD reported | | Rwandan troops crossed into Congo overnight, residents of Goma said.
en | UN HT confirmed | | The UN Security Council has authorised a peacekeeping force for Haiti.
ru | RS XK confirmed | | Сербия направила батальон в Косово.
ru | FR UA possible | | Франция рассматривает возможность отправки войск на Украину.
fr | FR BJ confirmed | | Paris va envoyer deux cents soldats au Bénin, a annoncé la ministre.
es | US MX possible | | Washington baraja enviar fuerzas especiales a México.
"""

DISMISSALS = """
de | KW dismissed confirmed | | Der Emir von Kuwait hat die Regierung entlassen.
de | GB resigned confirmed | | Nach zwei Monaten wirft die britische Premierministerin hin.
de | SK no_confidence confirmed | | Das Parlament in Bratislava hat der Regierung das Vertrauen entzogen.
de | ML toppled confirmed | | In Mali haben Soldaten den Präsidenten abgesetzt.
de | SI resigned possible | | Der slowenische Regierungschef erwägt, sein Amt niederzulegen.
de | PE toppled reported | | Medienberichten zufolge ist der peruanische Präsident vom Militär gestürzt worden.
en | TN dismissed confirmed | | Tunisia's president fired the prime minister late on Wednesday.
en | PK no_confidence confirmed | | Pakistan's prime minister lost a no-confidence vote.
en | BG no_confidence possible | | Bulgaria's government faces a vote of no confidence on Thursday.
en | NE toppled confirmed | | Soldiers have overthrown the president of Niger.
en | KW resigned confirmed | | Kuwait's emir accepted the resignation of the cabinet.
ru | JO dismissed confirmed | | Король Иордании отправил правительство в отставку.
ru | BF toppled confirmed | | В Буркина-Фасо военные свергли президента.
fr | HT dismissed confirmed | | Le conseil présidentiel haïtien a révoqué le Premier ministre.
es | ES no_confidence confirmed | | El Congreso español aprobó la moción de censura contra el Gobierno.
"""

NOTHING = """
de | Mehr als 1000 Menschen wurden bei den Krawallen verletzt.
de | Offizielle Angaben zu Toten unter Zivilisten gibt es bislang nicht.
de | Bei dem Unfall auf der A3 wurde niemand getötet.
de | Vor zehn Jahren starben bei dem Attentat in Paris 130 Menschen.
de | In dem neuen Roman werden drei Nonnen ermordet.
de | Hätte die Brücke nachgegeben, hätte es Dutzende Tote geben können.
de | Die Zahl der Opfer des Anlagebetrügers ist auf 50 gestiegen.
de | Hunderte tote Fische trieben in der Oder.
de | Moskau dementierte, Soldaten nach Georgien geschickt zu haben.
de | Die Niederlande ziehen ihre Truppen aus Mali zurück.
de | Israel hat Panzer an die Grenze zum Libanon verlegt.
de | Nach der Operation ist der Ministerpräsident aus dem Krankenhaus entlassen worden.
de | Die Opposition fordert den Rücktritt der kroatischen Regierung.
de | Nach dem Rücktritt seiner Stellvertreterin hat der Premier das Kabinett umgebildet.
de | Der Präsident des Fußballverbands ist zurückgetreten.
en | Nobody was killed when a plane skidded off the runway in Oslo.
en | The 1988 bombing killed 270 people.
en | Lightning killed 30 cows on a farm in Kansas.
en | More than 40,000 people die on US roads each year.
en | The singer died peacefully at home, her family said.
en | The striker killed the game with a second goal.
en | Poland will not send troops to Ukraine, its prime minister said.
en | The last French troops left Chad on Thursday.
en | Peru's president sacked his finance minister.
en | Can the Dutch cabinet survive the week?
en | Players must overthrow the president in the new strategy game.
ru | При пожаре в Казани никто не пострадал.
ru | В 2004 году в Беслане погибли 334 человека.
ru | Россия не планирует вводить войска в Молдавию.
ru | Президент уволил министра обороны.
fr | L'incendie n'a fait aucune victime.
fr | Nantes limoge son entraîneur.
es | El sismo no dejó muertos ni heridos.
es | La oposición exige la dimisión del Gobierno.
"""


def rows(table: str) -> list[tuple[str, ...]]:
    return [tuple(part.strip() for part in line.split("|")) for line in table.strip().splitlines()]


def read(engine: Engine, language: str, title: str, text: str) -> tuple[Detection, ...]:
    return scan(engine, id="1", title=title, text=text, language=language, published="2026-03-02").events


@pytest.mark.parametrize(("language", "expected", "title", "text"), rows(DEATHS))
def test_a_death_toll_is_read_with_its_bounds_its_certainty_and_its_country(
    engine: Engine, language: str, expected: str, title: str, text: str
) -> None:
    events = read(engine, language, title, text)

    told = []
    for event in events:
        assert event.toll is not None
        low, high = event.toll.min, event.toll.max
        count = f"{low}" if low == high else f"{'' if low is None else low}..{'' if high is None else high}"
        told.append(f"{count}{'~' if event.toll.approx else ''} {event.certainty} {event.country}")
    assert told == [expected]


@pytest.mark.parametrize(("language", "expected", "title", "text"), rows(TROOPS))
def test_a_deployment_is_read_with_who_sends_and_where_to(
    engine: Engine, language: str, expected: str, title: str, text: str
) -> None:
    events = read(engine, language, title, text)

    told = [
        f"{','.join(sorted(sender.code for sender in event.senders))} {event.country} {event.certainty}"
        for event in events
    ]
    assert told == [expected]


@pytest.mark.parametrize(("language", "expected", "title", "text"), rows(DISMISSALS))
def test_the_end_of_a_government_is_read_with_its_kind(
    engine: Engine, language: str, expected: str, title: str, text: str
) -> None:
    events = read(engine, language, title, text)

    assert [f"{event.country} {event.kind} {event.certainty}" for event in events] == [expected]


@pytest.mark.parametrize(("language", "text"), rows(NOTHING))
def test_what_only_looks_like_an_event_is_left_alone(engine: Engine, language: str, text: str) -> None:
    events = read(engine, language, "", text)

    assert events == ()
