"""The desk at which people decide what becomes of dead letters: replay or drop, one or many, noted in the audit.

Each kind has its rule. A record of the stream goes through the work of its group once more, and of no other, which
has seen it. What the relay could not bring to the broker is put out again, for nobody has. A timer is set again and
due at once. A message goes back into the outbox. A document is not read again, for by now the feed says something
else: the feed is polled. What cannot be replayed stays, and one is told why.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final

from notifier.room import retry
from tocsin.store.access import AuditEntry
from tocsin.store.overlay import FEEDS_CHANGED
from tocsin.store.relayed import RELAY
from tocsin.stream.dead_letters import DOCUMENTS, OUTBOX, TIMERS, TIMERS_STAGE
from web.ports import Decision, Handled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.records import DeadLetter
    from tocsin.store.dead_letters import Which
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

REPLAY: Final = "dead_letter.replay"
DROP: Final = "dead_letter.drop"
AT_ONCE: Final = 100  # letters in one transaction: each may hold a million bytes, and others want to write, too
A_CALL: Final = 2_000  # letters handled in one call, so that it answers in good time
REFUSALS_TOLD: Final = 100
GROUPS: Final = frozenset(
    {"archive", "bursts", "detectors", "incidents", "notifier"}
)  # who works on records, and on replays


class Desk:
    """`web.ports.Letters` over any store. *receivers* tells whom messages can be sent to now."""

    def __init__(self, *, store: Store, clock: Clock, receivers: Callable[[], Collection[str]]) -> None:
        self._store = store
        self._clock = clock
        self._receivers = receivers

    async def replay(self, id: str, *, actor: str) -> Decision:  # noqa: A002 — the domain's own word
        """Have the letter of that id, or of the only one that begins so, taken up again."""
        return await self._store.write(partial(self._decide, id=id, actor=actor, action=REPLAY))

    async def drop(self, id: str, *, actor: str) -> Decision:  # noqa: A002 — the domain's own word
        """Forget the letter of that id, or of the only one that begins so, for good."""
        return await self._store.write(partial(self._decide, id=id, actor=actor, action=DROP))

    async def replay_many(self, which: Which, *, actor: str, after: tuple[datetime, str] | None = None) -> Handled:
        """Have a part of *which* taken up again, the oldest first; *after* is where the part before ended."""
        return await self._many(which, actor=actor, action=REPLAY, after=after)

    async def drop_many(self, which: Which, *, actor: str, after: tuple[datetime, str] | None = None) -> Handled:
        """Forget a part of *which* for good; *after* is where the part before ended."""
        return await self._many(which, actor=actor, action=DROP, after=after)

    def _decide(self, tx: Tx, *, id: str, actor: str, action: str) -> Decision:  # noqa: A002 — the domain's own word
        letter = tx.dead_letters.find(id)
        if letter is None:
            return Decision()
        obstacle = self._act(tx, letter, action)
        if obstacle is None:
            self._note(tx, actor, action, letter.id, {"stage": letter.stage, "topic": letter.topic})
        return Decision(id=letter.id, stage=letter.stage, obstacle=obstacle)

    async def _many(self, which: Which, *, actor: str, action: str, after: tuple[datetime, str] | None) -> Handled:
        done, refused = 0, list[tuple[str, str]]()
        for _ in range(A_CALL // AT_ONCE):
            step = partial(self._some, which=which, actor=actor, action=action, after=after)
            acted, obstacles, after = await self._store.write(step)
            done += acted
            refused += obstacles
            if after is None:
                break
        return Handled(done=done, left=len(refused), refused=tuple(refused[:REFUSALS_TOLD]), after=after)

    def _some(
        self, tx: Tx, *, which: Which, actor: str, action: str, after: tuple[datetime, str] | None
    ) -> tuple[int, list[tuple[str, str]], tuple[datetime, str] | None]:
        places = tx.dead_letters.oldest(which, limit=AT_ONCE, after=after)
        refused = []
        for _, id_ in places:
            letter = tx.dead_letters.get(id_)
            obstacle = self._act(tx, letter, action) if letter is not None else None
            if obstacle is not None:
                refused.append((id_, obstacle))
        if done := len(places) - len(refused):
            told: dict[str, object] = {"count": done, "stage": which.stage, "topic": which.topic}
            self._note(tx, actor, f"{action}_many", which.stage or "all", told)
        return done, refused, places[-1] if len(places) == AT_ONCE else None

    def _act(self, tx: Tx, letter: DeadLetter, action: str) -> str | None:
        if action == REPLAY:
            return give_back(tx, letter, clock=self._clock, receivers=self._receivers())
        tx.dead_letters.remove(letter.id)
        return None

    def _note(self, tx: Tx, actor: str, action: str, target: str, detail: dict[str, object]) -> None:
        now, written = self._clock.now(), json.dumps(detail, ensure_ascii=False)
        tx.access.note(AuditEntry(at=now, actor=actor, action=action, target=target, detail=written))


def give_back(tx: Tx, letter: DeadLetter, *, clock: Clock, receivers: Collection[str]) -> str | None:
    """Have *letter* taken up again by whoever set it aside; return why that cannot be, None when it is done."""
    if letter.topic == TIMERS:
        obstacle = _set_again(tx, letter, now=clock.now())
    elif letter.topic == OUTBOX:
        obstacle = _send_again(tx, letter, clock=clock, receivers=receivers)
    elif letter.topic == DOCUMENTS:
        obstacle = _poll_again(tx, letter, now=clock.now())
    else:
        obstacle = _work_again(tx, letter, now=clock.now())
    if obstacle is None:
        tx.dead_letters.remove(letter.id)
    return obstacle


def _work_again(tx: Tx, letter: DeadLetter, *, now: datetime) -> str | None:
    if not letter.value:
        return "its bytes were damaged when it was read, so there is nothing to replay"
    if len(letter.value) < letter.size:
        return (
            f"only the first {len(letter.value):,} of its {letter.size:,} bytes were kept, more than a record may have"
        )
    if letter.stage == RELAY:
        key, name = letter.key, letter.record_id
        fresh = tx.emit_again(letter.topic, key=key, record_id=name, value=letter.value)
        if not fresh:
            return "the record has been put out again already"
        if tx.is_relayed:
            tx.replays.add(letter, now=now)  # until it is with the broker, to know how often it was refused before
        return None
    if letter.stage not in GROUPS:
        return f"no stage of this program is called {letter.stage!r} and works on records"
    return None if tx.replays.add(letter, now=now) else "it is being replayed already"


def _set_again(tx: Tx, letter: DeadLetter, *, now: datetime) -> str | None:
    room = letter.stage.removesuffix(TIMERS_STAGE)
    kind, _, key = letter.record_id.partition(":")
    standing = tx.timers.get(room, kind, key)
    if standing is not None:
        return f"the timer has been set again since, for {standing.due:%Y-%m-%d %H:%M:%S} UTC"
    if len(letter.value) < letter.size:
        return "what the timer carried was damaged in the store"
    tx.timers.set(room, kind, key, due=now, payload=letter.value.decode("utf-8", "replace"))
    return None


def _send_again(tx: Tx, letter: DeadLetter, *, clock: Clock, receivers: Collection[str]) -> str | None:
    delivery = tx.notifier.delivery(letter.record_id)
    if delivery is None:
        return "the message has been forgotten since"
    if delivery.receiver not in receivers:
        return f"the receiver {delivery.receiver!r} is not configured any more"
    return None if retry(tx, delivery.key, clock=clock) else f"the message is {delivery.state.value} by now"


def _poll_again(tx: Tx, letter: DeadLetter, *, now: datetime) -> str | None:
    feed = tx.ingest.feed(letter.record_id)
    if feed is None or not feed.listed:
        return f"the feed {letter.record_id!r} is not polled any more"
    if feed.paused:
        return f"the feed {letter.record_id!r} is paused: resume it first"
    tx.ingest.save(feed.id, {"next_due": now, "etag": None, "last_modified": None, "body_hash": None})
    tx.wake(FEEDS_CHANGED)
    return None
