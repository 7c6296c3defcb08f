from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tocsin.control import AnsweredNo, ControlClient, NothingRuns
from tocsin.errors import Stop
from web import server
from web.settings import WebSettings

Serve = Callable[..., Any]


async def test_the_command_line_changes_a_running_service_as_the_local_operator(serve: Serve) -> None:
    async with serve() as running:
        control = ControlClient(running.data_dir)
        status = await control.get("/api/status")
        added = await control.post("/api/feeds", {"id": "wire", "url": "https://news.example/f"})
        removed = await control.delete("/api/feeds/wire")
        why = await control.get("/api/why", {"q": "Narva & more"})

    assert status["ready"]
    assert added["actor"] == f"local:{os.getuid()}"
    assert removed is None
    assert why["query"] == "Narva & more"


async def test_a_refusal_reaches_the_command_line_in_words(serve: Serve) -> None:
    async with serve() as running:
        with pytest.raises(AnsweredNo) as refused:
            await ControlClient(running.data_dir).post("/api/feeds/nothing/pause")

    assert refused.value.status == 404
    assert str(refused.value) == "no feed 'nothing'"


async def test_the_command_line_says_when_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(NothingRuns, match="tocsin run"):
        await ControlClient(tmp_path).get("/api/status")


async def test_a_socket_that_a_dead_process_left_counts_as_nothing_and_is_replaced(
    serve: Serve, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control.sock"))
    with pytest.raises(NothingRuns):
        await ControlClient(tmp_path).get("/api/status")

    async with serve():
        assert (await ControlClient(tmp_path).get("/api/status"))["ready"]


async def test_only_its_owner_can_open_the_control_socket_and_it_goes_with_the_service(serve: Serve) -> None:
    async with serve() as running:
        mode = (running.data_dir / "control.sock").stat().st_mode
        left_over = list(running.data_dir.glob(".control-*"))

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert left_over == []
    assert not (running.data_dir / "control.sock").exists()
    assert not (running.data_dir / "web.json").exists()


async def test_the_control_socket_works_below_a_very_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    stage = asyncio.create_task(server.run(_hello, settings=WebSettings(listen="127.0.0.1:0"), data_dir=folder))
    async with asyncio.timeout(10):
        while not (folder / "web.json").exists():
            await asyncio.sleep(0.01)
        told = await ControlClient(folder).get("/")
        stage.cancel()
        await asyncio.wait([stage])

    assert told == {"operator": f"local:{os.getuid()}"}


async def test_nobody_can_call_himself_the_operator_over_tcp(serve: Serve) -> None:
    async with serve() as running:
        headers = {"tocsin.operator": "local:0", "x-tocsin-operator": "local:0"}
        status, _, _ = await running.ask("POST", "/-/reload", headers=headers)

    assert status == 401


async def test_a_reachable_address_without_a_token_is_refused_when_it_is_bound(tmp_path: Path) -> None:
    settings = WebSettings.model_construct(listen="0.0.0.0:0", tokens=())

    with pytest.raises(Stop, match=r"0\.0\.0\.0:0.*tocsin token create"):
        await server.run(_hello, settings=settings, data_dir=tmp_path)

    assert not (tmp_path / "control.sock").exists()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(Stop, match=listen):
            await server.run(_hello, settings=WebSettings(listen=listen), data_dir=tmp_path)


async def test_it_stops_in_bounded_time_though_a_request_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN_S", 1)
    stage = asyncio.create_task(server.run(_hang, settings=WebSettings(listen="127.0.0.1:0"), data_dir=tmp_path))
    async with asyncio.timeout(10):
        while not (tmp_path / "web.json").exists():
            await asyncio.sleep(0.01)
        port = json.loads((tmp_path / "web.json").read_text())["port"]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await asyncio.sleep(0.1)

        stage.cancel()
        began = asyncio.get_running_loop().time()
        await asyncio.wait([stage])
        writer.close()

    assert asyncio.get_running_loop().time() - began < 3
    assert stage.cancelled()


async def test_it_installs_no_signal_handlers(serve: Serve) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serve():
        during = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    assert during == before


async def test_a_connection_that_says_nothing_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_DEADLINE_S", 0.2)
    async with serve() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
        writer.write(b"GET / HT")
        try:
            rest = await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            rest = b""
        writer.close()

    assert rest == b""


async def _hello(scope: Scope, _receive: Receive, send: Send) -> None:
    body = json.dumps({"operator": scope.get("tocsin.operator")}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.sleep(60)
