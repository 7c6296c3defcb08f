"""articles.v1 → worker children → readings.v1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from detectors.engine import DetectorsConfig, Engine, prepare, read
from detectors.scan import scan
from tocsin import metrics
from tocsin.errors import JobFailed
from tocsin.stream.codec import decode_article, encode
from tocsin.stream.port import READINGS
from tocsin.workers import Done, Failed, Job, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.consumer import Unit, Work
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord

GROUP: Final = "detectors"
DEADLINE_S: Final = 2.0  # for one article; a long one takes 20 ms, and a busy machine is given a hundredfold


@dataclass(frozen=True, slots=True)
class Read:
    """A reading as bytes, with what the parent must know of it. `value` is None when there is nothing to pass on."""

    key: str
    id: str
    types: tuple[str, ...]
    value: bytes | None


def read_record(engine: Engine, value: bytes) -> Read:
    """Read one article record; runs in a worker child. A reading goes on when it states or supersedes something."""
    reading = read(engine, decode_article(value))
    passed_on = bool(reading.detections) or reading.supersedes is not None
    types = tuple(detection.type for detection in reading.detections)
    return Read(reading.article, reading.id, types, encode(reading) if passed_on else None)


def explain_record(engine: Engine, value: bytes) -> tuple[str, ...]:
    """Say why one article states nothing: each candidate with what took it away; runs in a worker child."""
    article = decode_article(value)
    text = article.text or article.summary
    result = scan(
        engine,
        id=article.id,
        title=article.title,
        text=text,
        language=article.language,
        published=article.published_at or article.seen_at,
    )
    return tuple(
        f"rule {one.rule}: {one.reason or 'accepted'}{f' (“{one.cue.quote}”)' if one.cue else ''} in “{one.sentence}”"
        for one in result.explanations
    )


def explaining_job(config: DetectorsConfig) -> Job[DetectorsConfig, Engine, bytes, tuple[str, ...]]:
    """Return the job that explains articles by these rules."""
    return Job(function=explain_record, prepare=prepare, argument=config, key=config.version, deadline_s=DEADLINE_S)


DetectingJob = Job[DetectorsConfig, Engine, bytes, Read]


def detecting_job(config: DetectorsConfig) -> DetectingJob:
    """Return the job that reads articles by these rules."""
    return Job(function=read_record, prepare=prepare, argument=config, key=config.version, deadline_s=DEADLINE_S)


def detecting(pool: Pool, config: Callable[[], DetectorsConfig], *, beat: Callable[[], None] | None = None) -> Work:
    """Return the stage's work; *config* is asked for each batch, so a reload takes effect between two.

    *beat* is called at each article: a hundred that hang, one after the other, take minutes and are no silence.
    """

    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        outcomes = await pool.map(detecting_job(config()), [record.body for record in records], beat=beat)
        return [partial(_put, outcome=outcome) for outcome in outcomes]

    return work


def _put(tx: Tx, *, outcome: Done[Read] | Failed) -> None:
    if isinstance(outcome, Failed):
        raise JobFailed(f"{outcome.kind}: {outcome.reason}")
    done = outcome.value
    if done.value is not None:
        tx.emit(READINGS, key=done.key, record_id=done.id, value=done.value)
    tx.after(partial(_count, done.types))


def _count(types: Sequence[str]) -> None:
    metrics.READINGS.inc()
    for kind in types:
        metrics.DETECTIONS.labels(type=kind).inc()
