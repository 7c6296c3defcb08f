"""A real Apache Kafka on loopback in KRaft mode: one broker, or several that are each controllers as well."""

from __future__ import annotations

import hashlib
import signal
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.servers.kafka_jars import jars, java, java_version
from tests.servers.kafka_security import KafkaSecurity
from tests.servers.kafka_wire import brokers_known_to
from tests.servers.processes import ServerFailed, ServerProcess, discard, free_port, run, scratch
from tests.servers.setting_up import cached

READY_S = 60.0
ATTEMPTS = 5
HEAP_MB = 320
LOGGING = Path(__file__).with_name("log4j2.yaml")
PLAIN = "PLAINTEXT"
CONTROLLER = "CONTROLLER"
PROTOCOLS = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"
JVM = (
    f"-Xmx{HEAP_MB}m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # which would leave files in the system's folder for temporary ones
    "-Djava.awt.headless=true",
    f"-Dlog4j2.configurationFile={LOGGING}",
)
COMMON: Mapping[str, str] = {
    "controller.listener.names": CONTROLLER,
    "listener.security.protocol.map": PROTOCOLS,
    "inter.broker.listener.name": PLAIN,
    "auto.create.topics.enable": "false",
    # Quick to gather a group, quick to notice who is gone.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "broker.heartbeat.interval.ms": "300",
    "broker.session.timeout.ms": "2500",  # after `kill -9` it is let in again when its old session is over
    "replica.lag.time.max.ms": "4000",
    # Small, for two cores that do other things as well.
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
}


class KafkaBroker:
    """One broker with ports and a data directory of its own, all kept over a restart."""

    def __init__(
        self, folder: Path, *, node: int = 1, settings: Mapping[str, str], security: KafkaSecurity | None = None
    ) -> None:
        self.folder = folder
        self.node = node
        self.settings = settings
        self.security = security
        self.ports: dict[str, int] = {}
        self.data = folder / f"data-{node}"
        self.process = ServerProcess(f"kafka broker {node}", folder / f"kafka-{node}.log")

    @property
    def bootstrap(self) -> str:
        """Where a client begins."""
        return self.address(PLAIN)

    @property
    def port(self) -> int:
        """Where it listens in plain text."""
        return self.ports[PLAIN]

    @property
    def pid(self) -> int:
        """The process id of the Java machine."""
        return self.process.pid

    @property
    def log_file(self) -> Path:
        """What the broker has logged over all its starts."""
        return self.process.log_file

    @property
    def is_running(self) -> bool:
        """Say whether the process is there."""
        return self.process.is_running

    def address(self, listener: str) -> str:
        """Where a client begins that speaks this security protocol."""
        return f"127.0.0.1:{self.ports[listener]}"

    def is_ready(self, *, among: int = 1) -> bool:
        """Say whether it answers, knows itself to be let in, and knows at least so many brokers."""
        known = brokers_known_to("127.0.0.1", self.port)
        return known is not None and self.node in known and len(known) >= among

    def start(self, *, wait: bool = True) -> None:
        """Start it on its ports and data.

        Raises:
            ServerFailed: it was not ready within `READY_S`.
        """
        self.process.launch(_command("kafka.Kafka", self._settings_file, options=self._options()))
        if wait:
            self.wait()

    def wait(self, *, among: int = 1) -> None:
        """Wait until it is ready, and knows so many brokers; raises ServerFailed."""
        self.process.until(lambda: self.is_ready(among=among), READY_S)

    def terminate(self) -> None:
        """Shut it down in order (SIGTERM)."""
        self.process.end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()

    def pause(self) -> None:
        """Stop it where it stands (SIGSTOP)."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        self.process.resume()

    def restart(self) -> None:
        """Shut it down and start it on the same ports and data."""
        self.terminate()
        self.start()

    def choose_ports(self) -> None:
        """Take new ports that are free now."""
        listeners = (PLAIN, *(self.security.listeners if self.security is not None else ()), CONTROLLER)
        self.ports = {listener: free_port() for listener in listeners}

    def write_settings(self, all_brokers: Sequence[KafkaBroker]) -> None:
        """Write what it starts with, when every broker has its ports."""
        factor, in_sync = str(min(3, len(all_brokers))), str(min(2, len(all_brokers)))
        outside = [f"{name}://127.0.0.1:{port}" for name, port in self.ports.items() if name != CONTROLLER]
        settings = {
            **COMMON,
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            "controller.quorum.voters": ",".join(f"{each.node}@{each.address(CONTROLLER)}" for each in all_brokers),
            "listeners": ",".join((*outside, f"{CONTROLLER}://{self.address(CONTROLLER)}")),
            "advertised.listeners": ",".join(outside),
            "default.replication.factor": factor,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": factor,
            "transaction.state.log.replication.factor": factor,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": factor,
            "share.coordinator.state.topic.min.isr": in_sync,
            "log.dirs": str(self.data),
            **(self.security.settings() if self.security is not None else {}),
            **self.settings,
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        self._settings_file.write_text(text, encoding="utf-8")

    def format(self, cluster_id: str) -> None:
        """Make its data directory, with the users that may log in."""
        users = self.security.format_words() if self.security is not None else ()
        run(_command("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", self._settings_file, *users))

    def _options(self) -> tuple[str, ...]:
        return self.security.jvm_options() if self.security is not None else ()

    @property
    def _settings_file(self) -> Path:
        return self.folder / f"kafka-{self.node}.properties"


class KafkaCluster:
    """Brokers that know one another. Each may be killed and started alone; three of them get along without one."""

    def __init__(self, brokers: Sequence[KafkaBroker]) -> None:
        self.brokers = tuple(brokers)

    @property
    def bootstrap(self) -> str:
        """Where a client begins: every broker, with commas between."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    @property
    def addresses(self) -> list[str]:
        """Where a client begins: one address a broker."""
        return [broker.bootstrap for broker in self.brokers]

    def start(self) -> None:
        """Start them all for the first time, on ports that are free, and wait until each knows all.

        Raises:
            ServerFailed: one was not ready within `READY_S`.
        """
        for attempt in range(ATTEMPTS):
            for broker in self.brokers:
                broker.choose_ports()
            for broker in self.brokers:
                broker.write_settings(self.brokers)
            if attempt == 0:
                # Led by a letter: one in 64 would begin with a dash, which the formatter takes for an option.
                cluster_id = "c" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
                for broker in self.brokers:
                    broker.format(cluster_id)
            try:
                self.heal()
            except ServerFailed as error:
                self.kill()
                if attempt == ATTEMPTS - 1 or "Address already in use" not in str(error):
                    raise
            else:
                return

    def heal(self) -> None:
        """Let the paused go on, start those that are gone, and wait until each knows all; raises ServerFailed."""
        for broker in self.brokers:
            if broker.is_running:
                broker.resume()
            else:
                broker.start(wait=False)
        for broker in self.brokers:
            broker.wait(among=len(self.brokers))

    def kill(self) -> None:
        """`kill -9` every one that still runs."""
        for broker in self.brokers:
            if broker.is_running:
                broker.kill()


@contextmanager
def kafka_cluster(
    count: int = 3,
    *,
    folder: Path | None = None,
    settings: Mapping[str, str] | None = None,
    secured: bool = False,
) -> Iterator[KafkaCluster]:
    """Run several brokers of one's own, to be killed and started again; replication 3, and 2 must be in sync.

    Their data goes with them unless *folder* is given. *settings* are words of `server.properties`; with *secured*
    each also listens as `KafkaSecurity` says.

    Raises:
        LeftOut: Java or Kafka can't be had on this machine.
        ServerFailed: they did not start.
    """
    java()
    jars()
    own = scratch("kafka") if folder is None else folder
    own.mkdir(parents=True, exist_ok=True)
    security = KafkaSecurity(own) if secured else None
    try:
        cluster = KafkaCluster(
            [KafkaBroker(own, node=1 + at, settings=settings or {}, security=security) for at in range(count)]
        )
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()
    finally:
        if security is not None:
            security.close()
        if folder is None:
            discard(own)


@contextmanager
def kafka_broker(
    folder: Path | None = None, *, settings: Mapping[str, str] | None = None, secured: bool = False
) -> Iterator[KafkaBroker]:
    """Run one broker of one's own, to be stopped and killed at will; else as `kafka_cluster`."""
    with kafka_cluster(1, folder=folder, settings=settings, secured=secured) as cluster:
        yield cluster.brokers[0]


def install() -> None:
    """Make sure that brokers can be started, and start quickly.

    Raises:
        LeftOut: Java or Kafka can't be had on this machine.
    """
    _class_archive()


def _class_path() -> str:
    return ":".join(str(path) for path in sorted(jars().glob("*.jar")))


def _command(main: str, *words: str | Path, options: Sequence[str] = ()) -> tuple[str | Path, ...]:
    archive = f"-XX:SharedArchiveFile={_class_archive()}"
    return (java(), *JVM, archive, "-Xshare:auto", *options, "-cp", _class_path(), main, *words)


@cache
def _class_archive() -> Path:
    """Return what the Java machine read of the classes at an earlier start: a broker starts in 2.0 s, not 3.5 s."""
    of = hashlib.sha256(f"{java_version()}\n{_class_path()}".encode()).hexdigest()[:12]
    return cached(f"{jars().name}-classes-{of}", _archive_classes) / "classes.jsa"


def _archive_classes(folder: Path) -> None:
    """Run one broker with a client for a moment, and let its Java machine write down what it loaded."""
    own = scratch("kafka")
    broker = KafkaBroker(own, settings={})
    broker.choose_ports()
    broker.write_settings([broker])
    settings = own / "kafka-1.properties"
    plain = (java(), *JVM, "-cp", _class_path())
    try:
        run((*plain, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", settings))
        archive = f"-XX:ArchiveClassesAtExit={folder / 'classes.jsa'}"
        broker.process.launch((java(), *JVM, archive, "-cp", _class_path(), "kafka.Kafka", settings))
        broker.wait()
        broker.process.end(signal.SIGTERM, READY_S)
    finally:
        if broker.is_running:
            broker.kill()
        discard(own)
    if not (folder / "classes.jsa").exists():
        raise ServerFailed(f"Java wrote no archive of its classes\n{broker.process.tail()}")
