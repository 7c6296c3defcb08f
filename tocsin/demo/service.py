"""The real service as a process of its own: its configuration, its start, its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import Process
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tocsin.demo.feeds import FeedServer
    from tocsin.demo.sinks import Sinks
    from tocsin.demo.story import Story

DRAIN_S: Final = 10.0  # SIGTERM drains within this time; then we kill
LOG_TAIL_LINES: Final = 20

_MAIN = """\
# Written by `tocsin demo`. Everything is on loopback.
tocsin:
  timezone: UTC
  web: {{listen: "127.0.0.1:{web_port}"}}
  polling: {{requests_per_minute: 6000, floor: 500ms, per_host: {{at_once: 8, gap: 0s}}}}
"""

_SUBSCRIPTIONS = """\
# Written by `tocsin demo`.
subscriptions:
  - id: desk
    to: [slack, mail, log]
    steps: [new, escalation, correction]   # an update is told quietly to those who know of the incident
    group_wait: 0s
    budget: 100/day

notifier: {opening_wait: 1s}
"""

_RECEIVERS = """\
# Written by `tocsin demo`.
receivers:
  slack: {{kind: slack, webhook_url: {slack_url}, allow_private: true}}
  mail:
    kind: email
    smtp: {{host: {smtp_host}, port: {smtp_port}, tls: none}}
    from: Tocsin <tocsin@demo.example>
    to: [desk@demo.example]
    allow_private: true
  log: {{kind: file, path: alerts.jsonl}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The folders of one demo."""

    folder: Path

    @property
    def config(self) -> Path:
        """What overlays the shipped configuration."""
        return self.folder / "config"

    @property
    def data(self) -> Path:
        """All state of the service."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the service writes to its terminal."""
        return self.folder / "service.log"

    @property
    def alerts(self) -> Path:
        """The file receiver's file."""
        return self.data / "alerts.jsonl"


@dataclass(slots=True, kw_only=True)
class Service:
    """The running process. `ending` says how it ended, once it has."""

    process: Process
    place: Place
    web_url: str
    ending: str = ""

    def log_tail(self) -> str:
        """Return the last lines of the service's log."""
        lines = self.place.log.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    async def stop(self) -> None:
        """Ask it to drain, and kill it when it has not within `DRAIN_S`."""
        if self.process.returncode is not None:
            self.ending = f"ended by itself with {self.process.returncode}"
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(DRAIN_S):
                self.ending = f"drained, exit {await self.process.wait()}"
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            self.ending = f"killed: not drained after {DRAIN_S:.0f} s"


def write_config(place: Place, story: Story, feeds: FeedServer, listening: Sinks, *, web_port: int) -> None:
    """Write the files that make a service poll the story's feeds and ring at the sinks."""
    place.config.mkdir(parents=True)
    feed_lines = "\n".join(
        f"    - {{id: {outlet.id}, url: {feeds.url(outlet)}, language: {outlet.language},"
        f" owner: {json.dumps(outlet.owner, ensure_ascii=False)}, tier: {outlet.tier}, every: 1s, allow_private: true}}"
        for outlet in story.outlets
    )
    files = {
        "tocsin.yaml": _MAIN.format(web_port=web_port),
        "feeds.yaml": f"# Written by `tocsin demo`: invented outlets.\nsources:\n  feeds:\n{feed_lines}\n",
        "subscriptions.yaml": _SUBSCRIPTIONS,
        "receivers.yaml": _RECEIVERS.format(
            slack_url=listening.slack_url, smtp_host=listening.smtp_host, smtp_port=listening.smtp_port
        ),
    }
    for name, text in files.items():
        (place.config / name).write_text(text, "utf-8")


@asynccontextmanager
async def service(place: Place, *, web_port: int) -> AsyncIterator[Service]:
    """Run `tocsin run` on *place* until the block is left, whatever way.

    It is a session of its own, so that a Ctrl-C in the terminal reaches us alone and we end it in order.
    """
    with place.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.cli", "run", "--config", str(place.config), "--data", str(place.data)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Service(process=process, place=place, web_url=f"http://127.0.0.1:{web_port}")
    try:
        yield running
    finally:
        await running.stop()


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
