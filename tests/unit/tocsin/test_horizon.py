from __future__ import annotations

from datetime import timedelta

from hypothesis import given, strategies as st
from structlog.testing import capture_logs

from tocsin.metrics import REGISTRY
from tocsin.stages.horizon import LENGTHENED_EVERY, SHORTEST, Horizon
from tocsin.testing import DAY, HOUR, MINUTE, NOON


def test_while_there_is_room_everything_is_kept_as_configured() -> None:
    horizon = Horizon()

    horizon.look(0.79, now=NOON, rounds=0)

    assert horizon.of(90 * DAY, least=DAY) == 90 * DAY


def test_a_step_is_taken_only_after_the_one_before_was_seen_to_be_too_little() -> None:
    horizon = Horizon()
    shares = []

    with capture_logs() as lines:
        for minute, rounds in enumerate((0, 0, 0, 1, 1, 2)):
            horizon.look(0.82, now=NOON + minute * MINUTE, rounds=rounds)
            shares.append(round(horizon.share, 3))

    assert shares == [0.8, 0.8, 0.8, 0.64, 0.64, 0.512]
    assert [(line["event"], line["share"]) for line in lines] == [
        ("horizon shortened", 0.8),
        ("horizon shortened", 0.64),
        ("horizon shortened", 0.512),
    ]
    assert REGISTRY.get_sample_value("tocsin_horizon_share") == horizon.share
    assert REGISTRY.get_sample_value("tocsin_store_quota_used") == 0.82


def test_with_room_again_it_grows_by_a_step_an_hour_until_it_is_whole() -> None:
    horizon = Horizon()
    horizon.look(0.95, now=NOON, rounds=0)
    shares = []

    for minutes in range(0, 361, 30):
        horizon.look(0.5, now=NOON + minutes * MINUTE, rounds=1)
        shares.append(round(horizon.share, 2))

    assert shares == [0.5, 0.5, 0.62, 0.62, 0.78, 0.78, 0.98, 0.98, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert LENGTHENED_EVERY == HOUR


@given(looks=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 120)), max_size=60), least=st.timedeltas(DAY, 9 * DAY))
def test_it_never_leaves_its_bounds(looks: list[tuple[float, int]], least: timedelta) -> None:
    horizon, now = Horizon(), NOON

    for rounds, (used, minutes) in enumerate(looks):
        now += minutes * MINUTE
        horizon.look(used, now=now, rounds=rounds)

        assert SHORTEST <= horizon.share <= 1
        assert least <= horizon.of(90 * DAY, least=least) <= 90 * DAY
        assert horizon.of(HOUR, least=least) == HOUR
