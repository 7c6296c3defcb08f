"""A worker that does one thing under a lease: it writes its name into a common log, again and again.

    python -m tests.faults.lease_worker DSN HOLDER

On standard output: `ready` when it stands by, `held EPOCH` when it begins, `wrote`, `fenced`, `ended`.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from tocsin.clock import SystemClock
from tocsin.errors import Fenced
from tocsin.leases import Lease
from tocsin.store.overlay import Change
from tocsin.store.port import Store
from tocsin.store.postgresql import PostgresqlStore
from tocsin.store.tx import Tx

EVERY_S = 0.002  # so that a pause often finds it in the middle of a transaction


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def run(dsn: str, holder: str) -> None:
    clock = SystemClock()
    store = PostgresqlStore(dsn, clock=clock)
    await store.open()
    say("ready")
    lease = Lease("relay", store=store, clock=clock, holder=holder)

    async def work(fenced: Store) -> None:
        say("held", lease.epoch)
        number = 0
        try:
            while True:
                number += 1
                change = Change(
                    kind="line", id=f"{lease.epoch}:{number:06}", value=holder, actor=holder, at=clock.now()
                )

                def write(tx: Tx, change: Change = change) -> None:
                    tx.overlay.put(change)

                await fenced.write(write)
                say("wrote")
                await asyncio.sleep(EVERY_S)
        except Fenced:
            say("fenced")
            raise
        finally:
            say("ended")

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with asyncio.TaskGroup() as tasks:
        both = [
            tasks.create_task(lease.keep(), name="keep"),
            tasks.create_task(lease.while_held(work), name="work"),
        ]
        await stop.wait()
        for task in both:
            task.cancel()
    await store.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2]))
