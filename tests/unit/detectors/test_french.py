"""French news read with the shipped rules and lexicon: what counts as an event, how it is told, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.detectors.expected import deaths, dismissal, events, troops

if TYPE_CHECKING:
    from detectors.engine import Engine

EVENTS = [
    ("", "Trois personnes ont péri dans l'incendie d'un immeuble à Roubaix.", deaths(3, 3, "confirmed", "FR")),
    ("Naufrage au large de Lampedusa : au moins vingt-sept morts", "", deaths(27, None, "confirmed", "IT")),
    (
        "",
        "Près de 150 personnes ont trouvé la mort dans les inondations au Kenya.",
        deaths(150, 150, "confirmed", "KE", approx=True),
    ),
    ("Plus d'une centaine de morts dans un séisme en Afghanistan", "", deaths(101, None, "confirmed", "AF")),
    (
        "",
        "Jusqu'à 40 personnes auraient péri dans le naufrage, selon une ONG libyenne.",
        deaths(None, 40, "reported", "LY"),
    ),
    (
        "",
        "Le typhon a coûté la vie à neuf personnes au Vietnam, a annoncé la protection civile.",
        deaths(9, 9, "confirmed", "VN"),
    ),
    ("", "Une femme a été poignardée à mort à Bruxelles, a confirmé le parquet.", deaths(1, 1, "confirmed", "BE")),
    ("Un mort et six blessés dans une fusillade à Grenoble", "", deaths(1, 1, "confirmed", "FR")),
    (
        "",
        "Cinq militants ont été exécutés par pendaison en Iran, rapporte l'agence officielle.",
        deaths(5, 5, "confirmed", "IR"),
    ),
    (
        "",
        "Le bilan passe de 12 à 19 morts après l'explosion d'une usine au Bangladesh.",
        deaths(19, 19, "confirmed", "BD"),
    ),
    ("", "Onze manifestants et un policier ont été tués à Nairobi.", deaths(12, 12, "confirmed", "KE")),
    (
        "",
        "Les autorités craignent une dizaine de morts après l'explosion d'un silo à Bordeaux.",
        deaths(10, 10, "possible", "FR", approx=True),
    ),
    (
        "",
        "Selon des témoins, des dizaines de manifestants ont été abattus à Conakry.",
        deaths(20, None, "reported", "GN"),
    ),
    ("", "Les rebelles disent avoir tué 14 soldats congolais dans le Nord-Kivu.", deaths(14, 14, "reported", "CD")),
    (
        "",
        "L'armée israélienne a tué au moins 25 Palestiniens à Gaza, selon le Croissant-Rouge.",
        deaths(25, None, "confirmed", "PS"),
    ),
    ("", "Le corps de l'automobiliste a été retrouvé dans la rivière près d'Ajaccio.", deaths(1, 1, "confirmed", "FR")),
    ("Le maire d'une commune du Guerrero, au Mexique, assassiné par balles", "", deaths(1, 1, "confirmed", "MX")),
    ("", "Le Rwanda a déployé un millier d'hommes au Mozambique.", troops(["RW"], "MZ", "confirmed")),
    ("", "Des chars turcs ont franchi la frontière syrienne à l'aube.", troops(["TR"], "SY", "confirmed")),
    ("Des casques bleus pakistanais arrivent en Haïti", "", troops(["PK", "UN"], "HT", "confirmed")),
    ("", "L'Union africaine va envoyer une force de paix au Soudan du Sud.", troops(["AU"], "SS", "confirmed")),
    ("", "Le Ghana propose d'envoyer un contingent au Niger.", troops(["GH"], "NE", "possible")),
    ("", "Le roi de Jordanie a limogé le gouvernement.", dismissal("JO", "dismissed", "confirmed")),
    ("La Première ministre estonienne démissionne", "", dismissal("EE", "resigned", "confirmed")),
    ("Le gouvernement bulgare renversé par une motion de censure", "", dismissal("BG", "no_confidence", "confirmed")),
    (
        "",
        "Des soldats mutins ont pris le pouvoir à Bamako et renversé le président.",
        dismissal("ML", "toppled", "confirmed"),
    ),
    ("", "Le chancelier autrichien envisage de démissionner.", dismissal("AT", "resigned", "possible")),
    (
        "",
        "Le Premier ministre français a remis sa démission au chef de l'État.",
        dismissal("FR", "resigned", "confirmed"),
    ),
    (
        "Des hommes armés ont ouvert le feu dans une église à Jos : vingt-deux fidèles tués",
        "",
        deaths(22, 22, "confirmed", "NG"),
    ),
    (
        "",
        "Le M23 affirme avoir tué une centaine de soldats burundais près d'Uvira.",
        deaths(100, 100, "reported", "CD", approx=True),
    ),
    ("", "Deux frères de 8 et 11 ans se sont noyés dans un étang en Moselle.", deaths(2, 2, "confirmed", "FR")),
    ("Tuerie dans un lycée de Graz : dix morts, le tireur s'est suicidé", "", deaths(10, 10, "confirmed", "AT")),
    (
        "",
        "Il y aurait plusieurs morts dans l'attaque du camp de déplacés, selon une ONG locale à Bunia.",
        deaths(2, None, "reported", "CD"),
    ),
    ("", "Les autorités iraniennes ont pendu trois trafiquants de drogue mercredi.", deaths(3, 3, "confirmed", "IR")),
    ("", "Quelque 800 parachutistes américains sont arrivés en Pologne.", troops(["US"], "PL", "confirmed")),
    ("", "Bucarest se dit prêt à envoyer un bataillon en Moldavie.", troops(["RO"], "MD", "possible")),
    ("", "L'Ouganda a envoyé des renforts au Soudan du Sud.", troops(["UG"], "SS", "confirmed")),
    ("", "La SADC enverra une brigade à Madagascar, a annoncé son secrétariat.", troops(["SADC"], "MG", "confirmed")),
    ("Le gouvernement roumain tombe sur une motion de censure", "", dismissal("RO", "no_confidence", "confirmed")),
    (
        "",
        "Le roi Abdallah II a accepté la démission du Premier ministre jordanien.",
        dismissal("JO", "resigned", "confirmed"),
    ),
    (
        "",
        "Le président ukrainien songe à limoger sa Première ministre, selon la presse.",
        dismissal("UA", "dismissed", "possible"),
    ),
    ("Putsch au Gabon : l'armée dépose le président", "", dismissal("GA", "toppled", "confirmed")),
    ("", "Quarante instructeurs militaires turcs ont pris leurs quartiers à Lomé.", troops(["TR"], "TG", "confirmed")),
    ("", "Le Conseil de sécurité vote l'envoi de 5 000 casques bleus au Soudan.", troops(["UN"], "SD", "confirmed")),
    ("", "Alger menace de faire entrer ses chars au Mali.", troops(["DZ"], "ML", "possible")),
    ("", "Des soldats érythréens auraient pénétré au Tigré, en Éthiopie.", troops(["ER"], "ET", "reported")),
    ("", "Le Portugal enverra 60 fusiliers marins supplémentaires au Mozambique.", troops(["PT"], "MZ", "confirmed")),
    (
        "",
        "L'arrivée de 300 soldats danois en Lettonie a été confirmée par l'ambassade.",
        troops(["DK"], "LV", "confirmed"),
    ),
]

NO_EVENTS = [
    ("", "Aucun mort n'est à déplorer après l'explosion à Lyon."),
    ("", "Les secouristes n'ont trouvé aucun corps dans l'épave au large de Malte."),
    ("", "Le procès des attentats qui ont fait 32 morts à Bruxelles s'ouvre lundi."),
    ("", "Plus de 3 200 personnes sont mortes sur les routes françaises l'an dernier."),
    ("", "Vingt ans après le tsunami qui a tué 230 000 personnes, l'Indonésie se souvient."),
    ("Le PSG a été battu et les Parisiens enterrés : mort subite en prolongation", ""),
    ("", "L'explosion aurait pu tuer des dizaines de personnes si elle s'était produite de jour."),
    ("", "Un exercice simulant un attentat avec vingt morts fictifs a eu lieu à Nice."),
    ("", "Le rappeur a été condamné à mort en Iran."),
    ("", "Le gouvernement dément la mort de dix soldats au Burkina Faso."),
    ("", "La Suède retire ses derniers soldats du Mali."),
    ("", "Le Canada livre des chars à l'Ukraine."),
    ("", "Madrid exclut tout envoi de soldats au Liban."),
    ("", "L'armée malienne a déployé des renforts dans le nord du pays."),
    ("", "Le gouvernement français survit à une motion de censure."),
    ("", "Le directeur général de la banque a été limogé."),
    ("", "L'opposition exige le départ du président à Lima."),
    ("", "Le général commandant l'armée nigériane a été limogé par le président."),
    ("", "Le président a dissous l'Assemblée nationale."),
    ("", "Le gouverneur de Californie a limogé son chef de cabinet."),
    ("", "Ancien Premier ministre, il avait démissionné en 2014 après la défaite."),
    ("", "La canicule n'a fait ni victime ni dégât en Sicile."),
    ("", "Le documentaire revient sur la catastrophe minière de 1906."),
    ("", "Le chanteur est mort dimanche à Kingston, à l'âge de 79 ans."),
    ("Combien de morts faudra-t-il encore à Port-au-Prince ?", ""),
    ("", "Le Sénat espagnol débat de l'euthanasie."),
    ("Le club mort et enterré ? L'OM renverse le PSG au bout du suspense", ""),
    ("", "Moscou nie toute présence de soldats russes au Mali."),
    ("", "Des soldats finlandais et suédois s'entraînent en Laponie."),
    ("", "La Turquie a vendu 40 blindés au Sénégal."),
    ("", "L'armée colombienne déploie 1 200 soldats dans le Cauca."),
    ("", "Le secrétaire d'État au Budget démissionne à Lisbonne."),
    ("", "Le ministre-président de Bavière limoge son ministre de la Santé."),
    ("", "Le Premier ministre britannique survit à la fronde de son parti."),
    ("", "Les manifestants réclament la démission du président à Tbilissi."),
    ("", "Le gouvernement a renversé sa position sur la taxe carbone en France."),
]


@pytest.mark.parametrize(("title", "text", "expected"), EVENTS)
def test_an_event_is_read_with_its_attributes(
    engine: Engine, title: str, text: str, expected: dict[str, object]
) -> None:
    assert events(engine, title, text, language="fr") == [expected]


@pytest.mark.parametrize(("title", "text"), NO_EVENTS)
def test_what_is_no_current_event_stays_silent(engine: Engine, title: str, text: str) -> None:
    assert events(engine, title, text, language="fr") == []
