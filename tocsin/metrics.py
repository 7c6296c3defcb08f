"""Every number the service tells, with its name and unit in one place (Prometheus text at `/metrics`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTRY = CollectorRegistry(auto_describe=True)

DELAY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)

POLLS = Counter("tocsin_polls", "Polls by outcome.", ["outcome"], registry=REGISTRY)
POLL_SECONDS = Histogram(
    "tocsin_poll_seconds", "Whole poll, parsing included.", buckets=DELAY_BUCKETS_S, registry=REGISTRY
)
POLL_LATENESS_SECONDS = Histogram(
    "tocsin_poll_lateness_seconds", "From a feed's due time to its poll.", buckets=DELAY_BUCKETS_S, registry=REGISTRY
)
FEEDS = Gauge("tocsin_feeds", "Feeds by state: ok, new, failing, gone, paused.", ["state"], registry=REGISTRY)
FETCHED_BYTES = Counter("tocsin_fetched_bytes", "Bytes of feed bodies, unpacked.", registry=REGISTRY)
FEED_GAPS = Counter("tocsin_feed_gaps", "Polls that shared nothing with the one before.", registry=REGISTRY)
ARTICLES = Counter("tocsin_articles", "Article revisions accepted.", registry=REGISTRY)
READINGS = Counter("tocsin_readings", "Articles read by the detectors.", registry=REGISTRY)
DETECTIONS = Counter("tocsin_detections", "Detections by type.", ["type"], registry=REGISTRY)
BURST_ARTICLES = Counter(
    "tocsin_burst_articles",
    "What became of articles in counting, by country and topic: counted, young feed, copy, repeated, backfill, old.",
    ["fate"],
    registry=REGISTRY,
)
BURSTS = Counter("tocsin_bursts", "Bursts told, by step: new, grown.", ["step"], registry=REGISTRY)
ALERTS = Counter("tocsin_alerts", "Alerts by step.", ["step"], registry=REGISTRY)
DELIVERIES = Counter("tocsin_deliveries", "Delivery attempts.", ["receiver", "outcome"], registry=REGISTRY)
DELIVERY_SECONDS = Histogram(
    "tocsin_delivery_seconds", "From article seen to receiver's yes.", buckets=DELAY_BUCKETS_S, registry=REGISTRY
)
OUTBOX_PENDING = Gauge("tocsin_outbox_pending", "Messages waiting.", ["receiver"], registry=REGISTRY)
OUTBOX_OLDEST_SECONDS = Gauge(
    "tocsin_outbox_oldest_seconds", "Age of the oldest message waiting.", ["receiver"], registry=REGISTRY
)
RECEIVER_BROKEN = Gauge(
    "tocsin_receiver_broken", "1 while a receiver fails again and again.", ["receiver"], registry=REGISTRY
)
DEAD_LETTERS = Counter("tocsin_dead_letters", "Records set aside.", ["stage"], registry=REGISTRY)
DEAD_LETTERS_KEPT = Gauge(
    "tocsin_dead_letters_kept", "Dead letters that wait for somebody.", ["stage"], registry=REGISTRY
)
DEAD_LETTERS_SHED = Counter(
    "tocsin_dead_letters_shed", "Dead letters forgotten because there were too many.", ["stage"], registry=REGISTRY
)
REPLAYS = Counter("tocsin_replays", "Replays by outcome: done, failed.", ["group", "outcome"], registry=REGISTRY)
REPLAYS_WAITING = Gauge("tocsin_replays_waiting", "Replays not yet worked on.", ["group"], registry=REGISTRY)
STAGE_RESTARTS = Counter("tocsin_stage_restarts", "Crashed stages started again.", ["stage"], registry=REGISTRY)
STAGE_UP = Gauge("tocsin_stage_up", "1 while a stage runs.", ["stage"], registry=REGISTRY)
LEASES_HELD = Gauge("tocsin_leases_held", "Leases this process holds, by kind.", ["kind"], registry=REGISTRY)
LEASE_TAKEOVERS = Counter(
    "tocsin_lease_takeovers", "Leases taken after another process had let them run out.", ["kind"], registry=REGISTRY
)
LAG = Gauge("tocsin_consumer_lag_records", "Records not yet consumed.", ["group", "topic"], registry=REGISTRY)
RECORDS_GONE = Counter(
    "tocsin_records_gone",
    "Records that the brokers forgot before they were read.",
    ["group", "topic"],
    registry=REGISTRY,
)
REBALANCES = Counter("tocsin_rebalances", "Partitions shared out anew.", ["group"], registry=REGISTRY)
CONSUMER_REBUILDS = Counter(
    "tocsin_consumer_rebuilds", "Consumers replaced because they were stuck.", ["group", "topic"], registry=REGISTRY
)
BROKERS_ANSWER = Gauge("tocsin_brokers_answer", "1 while a Kafka broker answers.", registry=REGISTRY)
RELAY_PUBLISHED = Counter(
    "tocsin_relay_published", "Records given to Kafka and acknowledged.", ["topic"], registry=REGISTRY
)
RELAY_OLDEST_SECONDS = Gauge(
    "tocsin_relay_oldest_seconds", "Age of the record that waits longest for the relay.", registry=REGISTRY
)
RELAY_LATE = Gauge(
    "tocsin_relay_late_partitions", "Partitions that do not take their records while others may.", registry=REGISTRY
)
RELAY_REBUILDS = Counter(
    "tocsin_relay_rebuilds", "Producers replaced because they failed or were stuck.", registry=REGISTRY
)
CHILD_RESTARTS = Counter("tocsin_child_restarts", "Worker children replaced.", ["reason"], registry=REGISTRY)
STORE_BYTES = Gauge("tocsin_store_bytes", "Bytes on disk.", ["part"], registry=REGISTRY)
STORE_TROUBLE = Gauge(
    "tocsin_store_trouble",
    "1 while the store takes no articles (quota), is full, cannot be written (unavailable) or is damaged.",
    ["kind"],
    registry=REGISTRY,
)
STORE_QUOTA_USED = Gauge(
    "tocsin_store_quota_used", "Share of the embedded store's quota that is in use.", registry=REGISTRY
)
HORIZON_SHARE = Gauge(
    "tocsin_horizon_share",
    "Share of the configured times for which is remembered; below 1 while the store's quota runs short.",
    registry=REGISTRY,
)
STORE_LOST_COMMITS = Gauge(
    "tocsin_store_lost_commits", "Commits that a damaged log had cost when the store was opened.", registry=REGISTRY
)
STORE_RETRIES = Counter(
    "tocsin_store_retries",
    "Groups of units run again: another process was first (conflict), the connection went (lost, doubt).",
    ["reason"],
    registry=REGISTRY,
)
STORE_COMMITS = Counter("tocsin_store_commits", "Commits of the writer.", registry=REGISTRY)


def set_all(gauge: Gauge, label: str, values: Mapping[str, float]) -> None:
    """Set *gauge* for each value of its one *label*; what was told before and is not among *values* becomes 0."""
    told = {sample.labels[label] for family in gauge.collect() for sample in family.samples}
    for name in told | values.keys():
        gauge.labels(**{label: name}).set(values.get(name, 0))
