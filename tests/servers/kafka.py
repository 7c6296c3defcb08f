"""A real Apache Kafka on loopback: one broker in KRaft mode, with a data directory of its own."""

from __future__ import annotations

import signal
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.kafka_jars import jars, java
from tests.servers.kafka_wire import answers
from tests.servers.processes import ServerFailed, ServerProcess, discard, free_port, run, scratch

READY_S = 40.0
ATTEMPTS = 5
HEAP_MB = 320
LOGGING = Path(__file__).with_name("log4j2.yaml")
COMMON: Mapping[str, str] = {
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.replica.fetchers": "1",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.index.size.max.bytes": "1048576",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "controlled.shutdown.enable": "true",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
}


class KafkaBroker:
    """One broker with ports and a data directory of its own, all kept over a restart."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.node = 1
        self.port = 0
        self.settings = settings
        self.process = ServerProcess(f"kafka {self.node}", folder / f"kafka-{self.node}.log")
        self._java = java()
        self._jars = jars()
        self._controller_port = 0

    @property
    def bootstrap(self) -> str:
        """Where a client begins."""
        return f"127.0.0.1:{self.port}"

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

    def start(self, *, wait: bool = True) -> None:
        """Start it on its ports and data, at the first time on free ports.

        Raises:
            ServerFailed: it did not answer within `READY_S`.
        """
        if self.port:
            self._launch(wait=wait)
            return
        for attempt in range(ATTEMPTS):
            self.port, self._controller_port = free_port(), free_port()
            self._write_settings()
            if attempt == 0:
                self._format()
            try:
                self._launch(wait=True)
            except ServerFailed as error:
                if attempt == ATTEMPTS - 1 or "Address already in use" not in str(error):
                    raise
            else:
                return

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

    def _write_settings(self) -> None:
        settings = {
            **COMMON,
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            "controller.quorum.voters": f"{self.node}@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "log.dirs": str(self.folder / f"data-{self.node}"),
            **self.settings,
        }
        self._settings_file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    @property
    def _settings_file(self) -> Path:
        return self.folder / f"kafka-{self.node}.properties"

    def _command(self, main: str, *words: str | Path) -> tuple[str | Path, ...]:
        return (
            self._java, f"-Xmx{HEAP_MB}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={LOGGING}", "-cp", f"{self._jars}/*", main, *words,
        )  # fmt: skip

    def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run(self._command("kafka.tools.StorageTool", "format", "-t", cluster, "-c", self._settings_file))

    def _launch(self, *, wait: bool) -> None:
        self.process.launch(self._command("kafka.Kafka", self._settings_file))
        if wait:
            self.process.until(lambda: answers("127.0.0.1", self.port), READY_S)


@contextmanager
def kafka_broker(folder: Path | None = None, *, settings: Mapping[str, str] | None = None) -> Iterator[KafkaBroker]:
    """Run a broker of one's own, to be stopped and killed at will; its data goes with it unless *folder* is given.

    Raises:
        LeftOut: Java or Kafka can't be had on this machine.
    """
    own = scratch("kafka") if folder is None else folder
    own.mkdir(parents=True, exist_ok=True)
    try:
        broker = KafkaBroker(own, settings=settings or {})
        broker.start()
        try:
            yield broker
        finally:
            if broker.is_running:
                broker.kill()
    finally:
        if folder is None:
            discard(own)
