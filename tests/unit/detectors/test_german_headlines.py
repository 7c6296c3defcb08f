"""German as desks write it: bare headlines, separable verbs, indirect speech, and what only looks like news.

One line a case: `expected | title | text`. Expected is empty, or `type: figures` as `shown` writes them.
"""

import pytest

from detectors.engine import Engine
from detectors.scan import scan
from tocsin.records import Certainty, Detection, Speaker

PUBLISHED = "2025-07-14"
CASES = """
deaths: 7 BR confirmed | Sieben Tote bei Busunglück in Brasilien |
deaths: 1 confirmed | Mann stirbt bei Unfall auf Landstraße |
deaths: 31 confirmed | Zahl der Toten steigt auf 31 |
deaths: 1.. confirmed | Tödlicher Unfall beim Rangieren: Gleis gesperrt |
deaths: 1 confirmed | Radfahrerin von Kipplaster erfasst und getötet |
deaths: 1 confirmed | Frau tot in Ferienwohnung gefunden |
deaths: 1 AT confirmed | Segelflugzeug stürzt in Österreich ab – Pilot tot |
deaths: 9 CO confirmed | Absturz eines Kleinflugzeugs in Kolumbien fordert neun Menschenleben |
deaths: 1 confirmed | Toter nach Wohnungsbrand |
deaths: 1 ZA confirmed | Schwimmer in Südafrika von Hai getötet |
deaths: 4 IT confirmed | Unwetter in Norditalien: Vier Todesopfer |
deaths: 2.. BE reported | Medien: Mehrere Tote bei Schießerei in Brüsseler Vorort |
deaths: 13 PK confirmed | | Bei einem Anschlag in Pakistan sind 13 Menschen getötet und 29 weitere verletzt worden.
deaths: 2 confirmed | | Helfer konnten die beiden Bewohner nur noch tot aus dem brennenden Haus bergen.
deaths: 14.. UA confirmed | | Russland hat die ukrainische Hauptstadt angegriffen. Mindestens 14 Menschen starben.
deaths: 5 AF reported | | Augenzeugen berichteten von Schüssen in Kabul. Dabei seien fünf Menschen getötet worden.
deaths: 601.. AF confirmed | Beben in Afghanistan | An der Grenze zu Pakistan sind mehr als 600 Menschen gestorben.
deaths: ..30 IR reported | | Aktivisten sprachen von bis zu 30 Toten in der iranischen Stadt Sahedan.
 | | Tote gab es den Angaben zufolge nicht.
 | | Berichte über Todesopfer lagen zunächst nicht vor.
 | | Todesopfer sind nach Auskunft der Behörden in Porto trotz des heftigen Regens bisher nicht zu beklagen.
 | | Jedes Jahr sterben in Asien rund 300.000 Menschen an den Folgen verschmutzter Luft.
 | | Die Leiche einer Geisel ist am Abend an das Rote Kreuz übergeben worden.
 | | Aus Furcht, von ihrem Bruder getötet zu werden, floh sie in ein Frauenhaus.
 | Reisebus verunglückt: 18 Kinder verletzt |
 | Nach den tödlichen Schüssen: Debatte über Waffenrecht |
troops: RW>MZ confirmed | Ruanda schickt weitere Soldaten nach Mosambik |
troops: KE>CD confirmed | | Das Parlament in Nairobi stimmte der Entsendung von 900 Soldaten in den Kongo zu.
troops: UN>HT possible | | Der haitianische Ministerpräsident bat die Vereinten Nationen um Friedenstruppen.
 | | Im Sommer 1981 schickte Senegal Truppen nach Banjul.
 | Kiew verlegt weitere Truppen nach Pokrowsk |
 | | Betroffen sind Soldaten, die auf dem rumänischen Stützpunkt am Schwarzen Meer stationiert sind.
government: resigned confirmed | Ministerpräsident tritt zurück |
government: MN resigned confirmed | | Der mongolische Regierungschef hat seinen Rücktritt eingereicht.
government: BG no_confidence confirmed | Misstrauensvotum: Regierung in Bulgarien gestürzt |
government: CD dismissed confirmed | Kongos Präsident löst Kabinett auf |
government: TN dismissed confirmed | | Nach Wochen des Streits entließ der tunesische Präsident die Regierung.
 | | Nach Kritik an den Zinsen entließ der türkische Präsident den Chef der Notenbank.
 | | Der Stabschef des britischen Premierministers tritt zurück.
 | Ministerpräsidentin von Rheinland-Pfalz tritt zurück |
 | Tausende demonstrieren in Tiflis für Rücktritt des Regierungschefs |
 | Präsident des Weltverbands tritt nach Kritik zurück |
 | | Venezuelas entmachteter Staatschef ist in New York angekommen.
"""


def shown(found: Detection) -> str:
    """Write one event as the table does."""
    words: list[str | None] = [{"foreign_troops": "troops:", "government_dismissal": "government:"}.get(found.type)]
    if found.type == "deaths":
        low, high = (found.toll.min, found.toll.max) if found.toll else (None, None)
        both = "" if low == high else ".." + str("" if high is None else high)
        words = ["deaths:", str("" if low is None else low) + both, found.country]
    elif found.senders:
        words.append(",".join(sorted(sender.code for sender in found.senders)) + f">{found.country}")
    else:
        words += [found.country, found.kind]
    return " ".join(word for word in (*words, found.certainty.value) if word)


@pytest.mark.parametrize("line", CASES.strip("\n").splitlines())
def test_a_german_desk_is_understood(engine: Engine, line: str) -> None:
    expected, title, text = (part.strip() for part in line.split("|"))

    found = scan(engine, id="x", title=title, text=text, language="de", published=PUBLISHED)

    assert "; ".join(shown(event) for event in found.events) == expected


REPORT = """\
Bei Unruhen in Kirgistan hat es Berichten zufolge Tote gegeben. Bewaffnete hätten in der Stadt Osch versucht, \
ein Gefängnis zu stürmen, zitierte der Sender Ala-Too 24 einen Sprecher des Innenministeriums. Dabei seien „Dutzende \
Bewaffnete liquidiert“ worden.

Amtliche Zahlen zu Toten unter den Einwohnern gibt es nicht. Die kirgisischen Behörden hatten am Vortag den Tod von \
mindestens fünf Polizisten und Wehrpflichtigen mitgeteilt. Mehr als 700 Menschen wurden verletzt.

Kasachstan verlegte Soldaten in das Nachbarland. Es seien Luftlandetruppen als Teil einer Friedenstruppe entsandt \
worden, teilte die Organisation des Vertrags über kollektive Sicherheit mit. Dem Bündnis gehören neben Kasachstan und \
Kirgistan auch Armenien und Tadschikistan an. Auch diese Staaten hätten Streitkräfte nach Kirgistan entsandt, hieß es.

Das Land erlebt seit Wochen Proteste gegen hohe Strompreise. Als Reaktion entließ Präsident Sadyr Schaparow die \
Regierung."""


def test_one_report_of_unrest_gives_its_deaths_its_soldiers_and_its_government(engine: Engine) -> None:
    found = scan(engine, id="x", title="", text=REPORT, language="de", published=PUBLISHED)

    deaths, troops, government = found.events
    quotes = {event.type: {evidence.quote for evidence in event.evidence} for event in found.events}

    assert shown(deaths) == "deaths: 24.. KG confirmed"
    assert [(figure.toll.min, figure.toll.max, figure.certainty) for figure in deaths.also] == [
        (5, None, Certainty.CONFIRMED)
    ]
    assert deaths.attribution is not None
    assert (deaths.attribution.speaker, deaths.attribution.who) == (
        Speaker.AUTHORITY,
        "Sprecher des Innenministeriums",
    )
    assert quotes["deaths"] >= {"liquidiert", "Dutzende", "Osch", "mindestens fünf"}
    assert shown(troops) == "troops: AM,CSTO,KZ,TJ>KG confirmed"
    assert {sender.code: sender.certainty.value for sender in troops.senders} == {
        "KZ": "confirmed", "CSTO": "confirmed", "AM": "reported", "TJ": "reported",
    }  # fmt: skip
    assert shown(government) == "government: KG dismissed confirmed"
    assert {"entließ", "Regierung"} <= quotes["government_dismissal"]


SENT = "Die ersten Einheiten aus Nigeria landeten in Banjul. Bei den Unruhen waren 43 Menschen ums Leben gekommen."


def test_the_dead_are_not_where_the_soldiers_come_from(engine: Engine) -> None:
    found = scan(engine, id="x", title="", text=SENT, language="de", published=PUBLISHED)

    assert sorted(shown(event) for event in found.events) == ["deaths: 43 GM confirmed", "troops: NG>GM confirmed"]
