"""The Slack webhook against a sink with every bad habit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tocsin.records import DeliveryState, Step
from tocsin.testing import an_alert


def slack(sink: Any, **parts: Any) -> dict[str, Any]:
    return {"kind": "slack_webhook", "webhook_url": sink.url, "allow_private": True, "timeout": "2s"} | parts


async def test_a_message_arrives_in_block_kit(web_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    sink = await web_sink()
    notifier = await service({"desk": slack(sink)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert delivery.state is DeliveryState.DONE
    (payload,) = sink.heard
    assert payload["text"] == "3 dead confirmed — Narva, Estonia"
    assert [block["type"] for block in payload["blocks"]] == ["header", "section"]


@pytest.mark.parametrize("answer", ["500", "503", "408", "429 0", "reset"])
async def test_what_may_pass_is_tried_again_with_the_same_message(
    answer: str, web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink(answer, answer)
    notifier = await service({"desk": slack(sink)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts) == (DeliveryState.DONE, 3)
    assert sink.heard[0] == sink.heard[2]


@pytest.mark.parametrize("answer", ["400", "404", "410", "redirect 301", "redirect 302", "redirect 307"])
async def test_a_refusal_is_final_and_lies_among_the_dead_letters(
    answer: str, web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink(answer)
    notifier = await service({"desk": slack(sink)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts, len(sink.heard)) == (DeliveryState.DEAD, 1, 1)
    assert f"HTTP {answer.rsplit(maxsplit=1)[-1]}" in delivery.reason
    (letter,) = await notifier.store.read(lambda tx: tx.dead_letters.list())
    assert (letter.record_id, letter.stage, letter.reason) == (delivery.key, "receiver desk", delivery.reason)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_the_receivers_own_wish_holds_its_whole_lane_back(
    form: str, web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    at = datetime.now(UTC) + timedelta(seconds=2)
    wish = "1" if form == "seconds" else format_datetime(at, usegmt=True).replace(" ", "_")
    sink = await web_sink(f"429 {wish}")
    notifier = await service({"desk": slack(sink)})

    await notifier.hear(an_alert(incident="a"))
    await notifier.settled()
    await notifier.hear(an_alert(incident="b"))
    await notifier.settled()

    assert len(sink.heard) == 3
    assert sink.instants[1] - sink.instants[0] >= 0.9


async def test_a_sink_that_hangs_is_left_after_the_timeout(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink("hang")
    notifier = await service({"desk": slack(sink, timeout="200ms")})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts) == (DeliveryState.DONE, 2)


async def test_an_answer_that_drips_after_its_yes_is_a_yes(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink("drip")
    notifier = await service({"desk": slack(sink, timeout="5s")})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts, len(sink.heard)) == (DeliveryState.DONE, 1, 1)


async def test_a_receiver_that_never_answers_is_given_up_with_the_reason(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink(*["500"] * 50)
    notifier = await service({"desk": slack(sink, attempts=3)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert (delivery.state, delivery.attempts) == (DeliveryState.DEAD, 3)
    assert "given up after 3 attempts" in delivery.reason
    assert "HTTP 500" in delivery.reason


async def test_a_private_address_is_not_reached_unless_allowed(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink()
    notifier = await service({"desk": slack(sink, allow_private=False, attempts=1)})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert sink.heard == []
    assert "private address" in delivery.reason


async def test_the_hooks_address_stands_in_no_reason(service: Callable[..., Any]) -> None:
    url = "http://127.0.0.1:9/services/T000/B000/verysecret"
    notifier = await service({"desk": {"kind": "slack", "webhook_url": url, "allow_private": True, "attempts": 1}})

    await notifier.hear(an_alert())
    (delivery,) = await notifier.settled()

    assert delivery.reason
    assert "verysecret" not in delivery.reason


async def test_receivers_that_refuse_hang_and_break_do_not_hold_up_a_healthy_one(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    healthy, refusing, hanging, broken = [
        await web_sink(*answers) for answers in ([], ["404"] * 20, ["hang"] * 20, ["reset"] * 200)
    ]
    receivers = {"hanging": hanging, "refusing": refusing, "broken": broken, "healthy": healthy}
    notifier = await service({name: slack(sink) for name, sink in receivers.items()})
    started = asyncio.get_running_loop().time()

    await notifier.hear(*(an_alert(incident=f"i{number}") for number in range(20)))
    deliveries = await notifier.settled("healthy")

    assert asyncio.get_running_loop().time() - started < 5.0  # one that hangs is given up after ten seconds
    assert [delivery.state for delivery in deliveries] == [DeliveryState.DONE] * 20
    assert len(healthy.heard) == 20
    await notifier.settled("refusing")
    assert len(refusing.heard) == 20


async def test_the_steps_of_an_incident_arrive_in_order_though_the_first_has_to_wait(
    web_sink: Callable[..., Any], service: Callable[..., Any]
) -> None:
    sink = await web_sink("500", "500")
    notifier = await service({"desk": slack(sink)})

    await notifier.hear(
        an_alert(revision=1),
        an_alert(revision=2, step=Step.UPDATE),
        an_alert(revision=3, step=Step.CORRECTION),
    )
    await notifier.settled()

    arrived = [payload["text"] for payload in sink.heard[2:]]
    assert [text.split(":")[0] for text in arrived] == ["3 dead confirmed — Narva, Estonia", "Update", "CORRECTION"]


async def test_nothing_a_feed_says_is_live_in_slack(web_sink: Callable[..., Any], service: Callable[..., Any]) -> None:
    sink = await web_sink()
    notifier = await service({"desk": slack(sink)})

    await notifier.hear(an_alert(places=("<!channel> & <https://evil.example|click>",)))
    await notifier.settled()

    told = json.dumps(sink.heard)
    assert "<!channel>" not in told
    assert "<https://evil" not in told
    assert "&lt;!channel&gt; &amp;" in told
