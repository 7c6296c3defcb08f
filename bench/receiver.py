"""A receiver on loopback, in a process of its own: notes when it was called, and for which article.

    python -m bench.receiver        prints its port; POST /hook takes messages, GET /log gives [instant, article] pairs

Instants are those of `time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

from aiohttp import web

from bench.news import url_of

ARTICLE = re.compile(re.escape(url_of(0)).replace("0", r"(\d+)"))


async def serve() -> None:
    """Serve until standard input ends."""
    log: list[tuple[float, int]] = []

    async def take(request: web.Request) -> web.Response:
        now = time.monotonic()
        numbers = ARTICLE.findall(await request.text())
        log.append((now, max(map(int, numbers), default=-1)))
        return web.Response(text="ok")

    async def tell(_request: web.Request) -> web.Response:
        return web.json_response(log)

    app = web.Application()
    app.router.add_post("/hook", take)
    app.router.add_get("/log", tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
