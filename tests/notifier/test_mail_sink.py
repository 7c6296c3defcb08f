"""Mail against real servers with every bad habit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tocsin.records import DeliveryState, Step
from tocsin.testing import an_alert

# aiosmtpd warns of logins without TLS, which the sink here wants to see.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")

DESK, PAGER = "desk@example.org", "pager@example.org"


def mail(sink: Any, **parts: Any) -> dict[str, Any]:
    smtp = {"host": "127.0.0.1", "port": sink.port, "tls": "none"} | parts.pop("smtp", {})
    settings = {"kind": "email", "smtp": smtp, "from": "Tocsin <alerts@tocsin.example>", "to": [DESK]}
    return settings | {"allow_private": True, "timeout": "5s"} | parts


async def test_a_mail_reads_well_as_text_and_as_html(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink()
    notifier = await service({"mail": mail(sink)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    (got,) = sink.mails
    assert delivery.remote == got["Message-ID"] == f"<{delivery.key}@tocsin.example>"
    assert got["Subject"] == "3 dead confirmed — Narva, Estonia"
    assert (got["From"], got["To"]) == ("Tocsin <alerts@tocsin.example>", DESK)
    assert (got["Auto-Submitted"], got["List-Id"]) == ("auto-generated", "<mail.tocsin.tocsin.example>")
    text, html = got.get_body(("plain",)), got.get_body(("html",))
    assert text is not None
    assert "“Three people were killed in clashes in Narva" in text.get_content()
    assert html is not None
    assert '<a href="https://news.example/1"' in html.get_content()


async def test_the_steps_of_an_incident_are_one_thread(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink()
    notifier = await service({"mail": mail(sink)})

    await notifier.hear(an_alert(revision=1), an_alert(revision=2, step=Step.UPDATE))
    await notifier.hear(an_alert(revision=3, step=Step.CORRECTION))
    await notifier.settled()
    await notifier.hear(an_alert(incident="other"))
    await notifier.settled()

    first, update, correction, other = sink.mails
    assert update["References"] == correction["References"] == update["In-Reply-To"] == first["Message-ID"]
    assert other["References"] is None


async def test_greylisting_is_waited_out(mail_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    sink = await mail_sink()
    sink.answers[DESK] = ["451 4.7.1 greylisted", "451 4.7.1 greylisted"]
    notifier = await service({"mail": mail(sink)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts, len(sink.mails)) == (DeliveryState.DONE, 3, 1)


@pytest.mark.parametrize("where", [DESK, "data"])
async def test_a_5xx_is_final(where: str, mail_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    sink = await mail_sink()
    sink.answers[where] = ["550 5.1.1 no such user"]
    notifier = await service({"mail": mail(sink)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts) == (DeliveryState.DEAD, 1)
    assert "550" in delivery.reason


async def test_who_has_it_does_not_get_it_again_for_anothers_sake(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink()
    sink.answers[PAGER] = ["451 greylisted", "451 greylisted"]
    notifier = await service({"mail": mail(sink, to=[DESK, PAGER])})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert delivery.state is DeliveryState.DONE
    assert sink.recipients == [DESK, PAGER]


async def test_one_dead_address_does_not_keep_the_others_waiting(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink()
    sink.answers[DESK] = ["550 no such user"]
    notifier = await service({"mail": mail(sink, to=[DESK, PAGER])})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, sink.recipients) == (DeliveryState.DONE, [PAGER])
    assert f"{DESK}: 550" in delivery.reason


async def test_a_server_that_hangs_in_data_is_left_and_tried_again(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink()
    sink.answers["data"] = ["hang"]
    notifier = await service({"mail": mail(sink, timeout="500ms")})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts, len(sink.mails)) == (DeliveryState.DONE, 2, 1)


async def test_a_server_that_wants_a_login_gets_one(mail_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    sink = await mail_sink(login=("alerts", "swordfish"))
    notifier = await service({"mail": mail(sink, smtp={"user": "alerts", "password": "swordfish"})})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert delivery.state is DeliveryState.DONE
    assert len(sink.mails) == 1


async def test_a_wrong_password_keeps_the_mail_until_somebody_corrects_it(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink(login=("alerts", "swordfish"))
    notifier = await service({"mail": mail(sink, smtp={"user": "alerts", "password": "wrongfish"}, attempts=2)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts) == (DeliveryState.DEAD, 2)
    assert "login refused: 535" in delivery.reason
    assert "wrongfish" not in delivery.reason


async def test_without_starttls_no_mail_goes_in_the_clear(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink()
    notifier = await service({"mail": mail(sink, smtp={"tls": "starttls"}, attempts=1)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, sink.mails) == (DeliveryState.DEAD, [])
    assert "STARTTLS" in delivery.reason


async def test_a_private_server_is_not_reached_unless_allowed(
    mail_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await mail_sink()
    notifier = await service({"mail": mail(sink, allow_private=False, attempts=1)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert sink.mails == []
    assert "private address" in delivery.reason


async def test_a_feed_cannot_add_a_header(mail_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    sink = await mail_sink()
    notifier = await service({"mail": mail(sink)})

    await notifier.hear(an_alert(places=("Narva\r\nBcc: everyone@example.org\r\n\r\nbody",)))
    await notifier.settled()

    (got,) = sink.mails
    assert got["Bcc"] is None
    assert sink.recipients == [DESK]
    assert "Narva Bcc: everyone@example.org body" in got["Subject"]
