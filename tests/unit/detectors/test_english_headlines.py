"""English as wires and broadcasters write it: bare headlines, leads with figures, and what only looks like news.

One line a case: `expected | title | text`. Expected is empty, or the events as `told` writes them, joined by ` + `.
"""

from collections.abc import Callable

import pytest

CASES = """
deaths: 5 PE confirmed | 5 killed in minibus crash in Peru, police say |
deaths: 2 SE confirmed | Two killed in shooting in Malmo |
deaths: 18 IN confirmed | Bus falls into gorge in northern India, killing 18 |
deaths: 61 PH confirmed | Death toll from Philippine typhoon rises to 61 |
deaths: 33 MA confirmed | Toll in Morocco floods climbs to 33 |
deaths: 20.. BF confirmed | Burkina Faso: Gunmen kill at least 20 in attack on market |
deaths: 8 BR confirmed | Small plane crash in Brazil kills all eight on board |
deaths: 12 SD confirmed | Floods in eastern Sudan claim 12 lives |
deaths: 3 NZ confirmed | Bodies of three missing sailors found off New Zealand |
deaths: 5 EC confirmed | Teenager among five killed in Ecuador nightclub shooting |
deaths: 4 KE confirmed | Helicopter crash in Kenya kills mayor and three others |
deaths: 4 ES confirmed | Father and three daughters die in Malaga house fire |
deaths: 1 IE confirmed | Cyclist dies after being hit by lorry in Cork |
deaths: 1 US confirmed | Police officer shot dead in Ohio |
deaths: 6 JP confirmed | | Six people died when a fire tore through a nursing home in Osaka, the fire department said.
deaths: 1 PH confirmed | | Two gunmen on a motorcycle shot dead a lawyer in Manila on Friday, police said.
deaths: 44 VN confirmed | | The number of people killed in floods in Vietnam has risen to 44, with nine still missing.
deaths: 1 CH confirmed | | A climber from Poland was killed by falling rock in Switzerland on Sunday.
deaths: 12 ZA confirmed | | South African police said 12 people had been shot dead at a hostel near Pretoria.
deaths: 3 KG confirmed | | Three soldiers were killed in a blast at Kant air base near Bishkek, the army said.
deaths: 2.. HT reported | | Residents said several people had been killed in overnight clashes in Port-au-Prince.
troops: TR>QA confirmed | Turkey to send troops to Qatar |
troops: FR>TD confirmed | French troops arrive in Chad |
troops: ECOWAS>NG possible | Nigeria asks ECOWAS to send peacekeepers |
troops: AO>CD confirmed | Angolan soldiers enter eastern Congo, UN report says |
troops: ZA>MZ possible | | Mozambique has asked South Africa to send soldiers to help restore order.
troops: KP>RU confirmed | North Korea sends 2,000 soldiers to Russia |
government: BE resigned confirmed | Belgian PM quits |
government: NP resigned confirmed | Nepal's prime minister steps down after protests |
government: TH dismissed confirmed | Court in Thailand removes prime minister from office |
government: ML toppled confirmed | Mali army seizes power, ousts president |
government: BG no_confidence confirmed | Bulgarian government falls after losing no-confidence vote |
 | Alaska avoids deaths as strong quake hits islands |
 | 9 injured in tram crash in Lisbon |
 | Five rescued from drowning off Wales |
 | Court sentences two to death over Dhaka cafe attack |
 | Twenty years on: survivors recall the tsunami that killed 230,000 |
 | Kenyan governor sacks his entire cabinet |
 | The justice minister of Peru has been fired by the president. |
 | Hungarian PM rejects calls to quit |
 | Finland moves troops to border with Russia |
 | New Zealand send reinforcements for final Test in Brisbane |
 | Petrol car is dead, long live the battery |
 | | The runner finished 23rd in the 100m and was left for dead by the leaders.
"""


@pytest.mark.parametrize("line", CASES.strip("\n").splitlines())
def test_an_english_desk_is_understood(told: Callable[..., str], line: str) -> None:
    expected, title, text = (part.strip() for part in line.split("|"))

    found = told(title, text, language="en")

    assert found == expected
