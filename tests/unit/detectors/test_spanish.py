"""Spanish news read with the shipped rules and lexicon: what counts as an event, how it is told, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.detectors.expected import deaths, dismissal, events, troops

if TYPE_CHECKING:
    from detectors.engine import Engine

EVENTS = [
    ("", "Tres personas perecieron en el incendio de un edificio en Valencia.", deaths(3, 3, "confirmed", "ES")),
    ("Naufragio frente a Lampedusa: al menos veintisiete muertos", "", deaths(27, None, "confirmed", "IT")),
    (
        "",
        "Unas treinta personas murieron aplastadas en la India, anunció la policía.",
        deaths(30, 30, "confirmed", "IN", approx=True),
    ),
    ("Más de un centenar de muertos por un terremoto en Afganistán", "", deaths(101, None, "confirmed", "AF")),
    ("Miles de muertos en Birmania tras el ciclón", "", deaths(2000, None, "confirmed", "MM")),
    ("", "Un adolescente de 15 años fue asesinado a balazos el martes en Rosario.", deaths(1, 1, "confirmed", "AR")),
    ("", "Una mujer murió apuñalada en Bruselas, confirmó la fiscalía.", deaths(1, 1, "confirmed", "BE")),
    ("Un muerto y seis heridos en un tiroteo en Guayaquil", "", deaths(1, 1, "confirmed", "EC")),
    (
        "",
        "Cinco militantes fueron ejecutados en la horca en Irán, según la agencia oficial.",
        deaths(5, 5, "confirmed", "IR"),
    ),
    (
        "",
        "La epidemia de cólera deja 58 fallecidos en Angola, informó el Ministerio de Salud.",
        deaths(58, 58, "confirmed", "AO"),
    ),
    (
        "",
        "Las autoridades temen una decena de muertos tras la explosión de un silo en Rosario.",
        deaths(10, 10, "possible", "AR", approx=True),
    ),
    ("", "Según testigos, decenas de manifestantes fueron abatidos en Conakri.", deaths(20, None, "reported", "GN")),
    (
        "",
        "Los rebeldes dicen haber dado muerte a 14 soldados congoleños en Kivu del Norte.",
        deaths(14, 14, "reported", "CD"),
    ),
    (
        "",
        "El ejército israelí mató al menos a 25 palestinos en Gaza, según la Media Luna Roja.",
        deaths(25, None, "confirmed", "PS"),
    ),
    ("Mueren siete turistas en un accidente de autobús en Egipto", "", deaths(7, 7, "confirmed", "EG")),
    ("Suman 18 los fallecidos por las lluvias en Bolivia", "", deaths(18, 18, "confirmed", "BO")),
    ("", "El volcán ha causado la muerte de al menos 99 personas en Guatemala.", deaths(99, None, "confirmed", "GT")),
    ("", "Polonia envía 500 soldados a Lituania.", troops(["PL"], "LT", "confirmed")),
    ("", "Francia enviará un batallón blindado a Rumania, anunció el presidente.", troops(["FR"], "RO", "confirmed")),
    ("", "Tropas etíopes entraron en Somalia, según residentes.", troops(["ET"], "SO", "reported")),
    ("", "La OTAN despliega 4.000 soldados adicionales en Estonia.", troops(["NATO"], "EE", "confirmed")),
    ("", "Londres estudia enviar instructores militares a Ucrania.", troops(["GB"], "UA", "possible")),
    ("", "El primer ministro haitiano pide el envío de tropas kenianas.", troops(["KE"], "HT", "possible")),
    ("", "El rey de Jordania destituyó al Gobierno.", dismissal("JO", "dismissed", "confirmed")),
    ("Dimite la primera ministra de Estonia", "", dismissal("EE", "resigned", "confirmed")),
    ("El Gobierno búlgaro cae tras perder una moción de censura", "", dismissal("BG", "no_confidence", "confirmed")),
    (
        "",
        "El presidente surcoreano amenaza con destituir a su primer ministro.",
        dismissal("KR", "dismissed", "possible"),
    ),
    ("", "El presidente checo aceptó la renuncia del Gobierno.", dismissal("CZ", "resigned", "confirmed")),
    ("", "El presidente ecuatoriano fue destituido por la Asamblea.", dismissal("EC", "dismissed", "confirmed")),
    (
        "Hombres armados abrieron fuego en una iglesia de Jos: veintidós fieles asesinados",
        "",
        deaths(22, 22, "confirmed", "NG"),
    ),
    (
        "",
        "El M23 asegura haber matado a un centenar de soldados burundeses cerca de Uvira.",
        deaths(100, 100, "reported", "CD", approx=True),
    ),
    ("", "Dos hermanos de 8 y 11 años murieron ahogados en un embalse de Badajoz.", deaths(2, 2, "confirmed", "ES")),
    ("Matanza en un instituto de Graz: diez muertos, el tirador se suicidó", "", deaths(10, 10, "confirmed", "AT")),
    (
        "",
        "Las inundaciones han matado a más de un millar de personas en Sri Lanka.",
        deaths(1001, None, "confirmed", "LK"),
    ),
    ("Un periodista kurdo muere por un dron turco en Irak, según medios locales", "", deaths(1, 1, "reported", "IQ")),
    (
        "Sube a 23 el número de muertos por la explosión en una pirotecnia de Tultepec, México",
        "",
        deaths(23, 23, "confirmed", "MX"),
    ),
    ("Sicarios ejecutan a cuatro policías en Celaya", "", deaths(4, 4, "confirmed", "MX")),
    ("La avalancha se cobra la vida de tres esquiadores en Andorra", "", deaths(3, 3, "confirmed", "AD")),
    ("", "Unos 800 paracaidistas estadounidenses llegaron a Polonia.", troops(["US"], "PL", "confirmed")),
    ("", "Bucarest se declara dispuesto a enviar un batallón a Moldavia.", troops(["RO"], "MD", "possible")),
    ("", "Uganda envió refuerzos a Sudán del Sur.", troops(["UG"], "SS", "confirmed")),
    ("", "La SADC enviará una brigada a Madagascar, anunció su secretaría.", troops(["SADC"], "MG", "confirmed")),
    ("El primer ministro eslovaco tira la toalla", "", dismissal("SK", "resigned", "confirmed")),
    (
        "",
        "El jefe del Estado guineano fue derrocado por su guardia, informa una televisión privada.",
        dismissal("GN", "toppled", "reported"),
    ),
    ("", "El Bundestag negó la confianza al canciller alemán.", dismissal("DE", "no_confidence", "confirmed")),
    ("Golpe de Estado en Gabón: el ejército depone al presidente", "", dismissal("GA", "toppled", "confirmed")),
    ("", "La presidenta de Honduras anuncia su renuncia en cadena nacional.", dismissal("HN", "resigned", "confirmed")),
    (
        "",
        "Militares cameruneses cruzaron la frontera nigeriana para perseguir a los atacantes.",
        troops(["CM"], "NG", "confirmed"),
    ),
    ("", "Budapest manda 200 soldados a Chad, según una fuente diplomática.", troops(["HU"], "TD", "reported")),
    ("", "Soldados eritreos habrían penetrado en Tigray, en Etiopía.", troops(["ER"], "ET", "reported")),
    ("", "Portugal enviará 60 fusileros más a Mozambique.", troops(["PT"], "MZ", "confirmed")),
    (
        "",
        "La llegada de 300 soldados daneses a Letonia fue confirmada por la embajada.",
        troops(["DK"], "LV", "confirmed"),
    ),
]

NO_EVENTS = [
    ("", "El obispo lamentó que no hubiera muertos que lamentar tras el sismo en Lima."),
    ("Sin muertos ni heridos tras el descarrilamiento en Burgos", ""),
    ("", "Comienza el juicio por el atentado que dejó 32 muertos en Bruselas."),
    ("", "Más de 3.200 personas murieron en las carreteras españolas el año pasado."),
    ("", "Veinte años después del tsunami que mató a 230.000 personas, Indonesia recuerda a sus víctimas."),
    ("", "Un centenar de vacas murieron en el incendio de un establo en Galicia."),
    ("¿Hubo muertos en Caracas?", ""),
    ("", "El rapero fue condenado a muerte en Irán."),
    ("", "El Gobierno niega la muerte de diez soldados en Burkina Faso."),
    ("", "Las negociaciones están en punto muerto en Ginebra."),
    ("Llegan a Puerto Príncipe los primeros policías kenianos", ""),
    ("", "Canadá entrega tanques a Ucrania."),
    ("", "Madrid descarta el envío de soldados al Líbano."),
    ("", "El ejército mexicano desplegó refuerzos en Sinaloa."),
    ("", "El Gobierno francés supera una moción de censura."),
    ("", "El director general del banco fue destituido."),
    ("", "La oposición exige la salida del presidente en Lima."),
    ("", "El presidente nigeriano destituyó al jefe del ejército."),
    ("", "El presidente disolvió el Parlamento."),
    ("", "El gobernador de California despidió a su jefe de gabinete."),
    ("", "El presidente de la Generalitat valenciana presenta su dimisión."),
    ("", "No se lamentan pérdidas humanas tras el ciclón en Cuba."),
    ("", "Todos los pasajeros del tren incendiado cerca de Bolonia están sanos y salvos."),
    ("", "Tres hombres juzgados en Lima por el asesinato de un chofer."),
    ("", "Los suicidios bajaron en Japón: 20.300 muertes el año pasado."),
    ("", "Es falso que la explosión de Tánger haya matado a 200 personas."),
    ("", "El Día de Muertos llena de flores las tumbas de Pátzcuaro."),
    ("", "Moscú niega la presencia de soldados rusos en Mali."),
    ("", "Soldados finlandeses y suecos se entrenan en Laponia."),
    ("", "El ejército colombiano despliega 1.200 soldados en el Cauca."),
    ("", "Togo envía un avión con ayuda médica a Ghana."),
    ("", "El presidente de Baviera cesa a su ministro de Sanidad."),
    ("", "El primer ministro británico sobrevive a la rebelión de su partido."),
    ("", "Los manifestantes reclaman la dimisión del presidente en Tiflis."),
    ("", "El Gobierno español renuncia a subir el IVA."),
    ("", "Estados Unidos moviliza a 1.500 soldados hacia la frontera con México."),
]


@pytest.mark.parametrize(("title", "text", "expected"), EVENTS)
def test_an_event_is_read_with_its_attributes(
    engine: Engine, title: str, text: str, expected: dict[str, object]
) -> None:
    assert events(engine, title, text, language="es") == [expected]


@pytest.mark.parametrize(("title", "text"), NO_EVENTS)
def test_what_is_no_current_event_stays_silent(engine: Engine, title: str, text: str) -> None:
    assert events(engine, title, text, language="es") == []
