"""Russian as agencies write it: bare headlines, participles, witnesses, and what only looks like news.

One line a case: `expected | title | text`. Expected is empty, or the events as `told` writes them, joined by ` + `.
"""

from collections.abc import Callable

import pytest

CASES = """
deaths: 9 PE confirmed | В Перу девять человек погибли в ДТП с автобусом |
deaths: 2 SE confirmed | Два человека погибли при стрельбе в Мальмё |
deaths: 12 IN confirmed | Автобус упал в ущелье в Индии, 12 погибших |
deaths: 52 TR confirmed | Число жертв землетрясения в Турции возросло до 52 |
deaths: 201.. EG confirmed | Число погибших при наводнении в Египте превысило 200 |
deaths: 7 RU confirmed | Крушение самолёта в Якутии: обнаружены тела семи человек |
deaths: 15 PK confirmed | Взрыв на рынке в Пакистане унёс жизни 15 человек |
deaths: 1 CO confirmed | В Колумбии застрелили кандидата в губернаторы |
deaths: 1 RU confirmed | Сноубордист погиб при сходе лавины в Сочи |
deaths: 3 VN confirmed | Трое рабочих погибли при пожаре на фабрике в Ханое |
deaths: 1 US confirmed | В Денвере полицейские застрелили подростка |
deaths: 1 ZA confirmed | В ЮАР акула убила туриста |
deaths: 2.. RU reported | | На месте взрыва в Уфе есть погибшие, рассказали очевидцы.
deaths: 20.. SD reported | | По словам местных жителей, при обстреле Хартума погибли десятки человек.
deaths: 2 KZ confirmed | | Двое горняков погибли на шахте в Караганде, сообщили в МЧС республики.
deaths: 1 GE confirmed | | Альпинист из Чехии погиб в горах Грузии, сообщила полиция.
deaths: 4 RU confirmed | | Тела четырёх рыбаков нашли на Сахалине, сообщили спасатели.
deaths: 11 CL confirmed | | Жертвами пожара в доме престарелых в Чили стали 11 человек, заявил министр внутренних дел.
deaths: 6 US confirmed | | В Техасе мужчина застрелил шесть человек, сообщила полиция.
deaths: 3 UA confirmed | | В результате удара по Одессе погибли три человека, ещё 14 ранены, уточнил глава области.
deaths: 10.. NG confirmed | Боевики убили не менее десяти крестьян в Нигерии |
troops: PL>LT confirmed | Польша отправит военных в Литву |
troops: RW>MZ confirmed | Военные Руанды прибыли в Мозамбик |
troops: UG>CD confirmed | Уганда ввела войска на территорию ДР Конго |
troops: FR>UA possible | Франция допускает отправку военных на Украину |
troops: KE>HT confirmed | | Кения перебросила на Гаити ещё 200 военных, сообщило министерство обороны.
government: JP resigned confirmed | Премьер Японии уходит в отставку |
government: BG resigned confirmed | Правительство Болгарии ушло в отставку на фоне протестов |
government: TN dismissed confirmed | Президент Туниса отправил правительство в отставку |
government: GW toppled confirmed | В Гвинее-Бисау военные свергли президента |
government: FR no_confidence confirmed | | Национальное собрание Франции вынесло вотум недоверия правительству.
 | В Индии 20 человек пострадали при сходе поезда с рельсов |
 | При пожаре в торговом центре в Минске погибших нет |
 | В прокат выходит триллер об убийстве семьи фермера |
 | Актёр скончался в больнице в 23:00 на 81-м году жизни |
 | Эфиопия опровергла отправку войск в Сомали |
 | Министр обороны Эстонии подал в отставку |
 | «Ювентус» отправил главного тренера в отставку |
 | Оппозиция Армении требует отставки премьера |
 | Последние немецкие военные покинули Мали |
 | | Его обвиняют по ст. 273 УК: программа предназначена для уничтожения данных.
 | | Год назад при взрыве в Бейруте погибли 200 человек.
"""


@pytest.mark.parametrize("line", CASES.strip("\n").splitlines())
def test_a_russian_desk_is_understood(told: Callable[..., str], line: str) -> None:
    expected, title, text = (part.strip() for part in line.split("|"))

    found = told(title, text, language="ru")

    assert found == expected
