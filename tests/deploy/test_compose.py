"""The Compose files without a container engine: valid, whole, and each service's own command started as a process."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import jsonschema
import psycopg
import pytest
import yaml
from psycopg import sql

from tests.faults.harness import Service, write_config
from tests.servers.fixtures import or_left_out
from tests.servers.kafka_jars import VERSION, jars, java
from tests.servers.postgresql import _server_user, postgresql_server
from tests.servers.processes import ServerProcess, discard, free_port, run, scratch
from tocsin.stages import WORK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = ("docker-compose.yml", "compose.embedded.yml")
SPECIFICATION: Final = Path(__file__).with_name("compose-spec.json")
LIMIT_S: Final = 180
STAGED: Final = ("ingest", "detectors", "incidents", "notifier", "archive", "web")


def composed(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / name).read_text("utf-8")))


def services() -> Mapping[str, Any]:
    found: Mapping[str, Any] = composed("docker-compose.yml")["services"]
    return found


def _plugin() -> bool:
    """Whether `docker compose` is here; Docker may be without its plugin."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", FILES)
def test_a_compose_file_says_nothing_that_the_specification_does_not_know(name: str) -> None:
    known = jsonschema.Draft7Validator(json.loads(SPECIFICATION.read_text("utf-8")))

    mistakes = [error.message for error in known.iter_errors(composed(name))]

    assert mistakes == []


@pytest.mark.skipif(not _plugin(), reason="no docker compose is here; the specification's schema is held to above")
@pytest.mark.parametrize("name", FILES)
def test_docker_compose_reads_a_compose_file(name: str) -> None:
    checked = subprocess.run(
        ["docker", "compose", "-f", name, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", FILES)
def test_what_a_compose_file_names_is_there(name: str) -> None:
    whole = composed(name)
    mounts = [mount for service in whole["services"].values() for mount in service.get("volumes", ())]
    sources = {re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0] for mount in mounts}

    files = {source for source in sources if source.startswith(".")} - {"./my-watch"}  # the operator's own

    assert {source for source in sources if not source.startswith(".")} == set(whole["volumes"])
    assert all((ROOT / file).exists() for file in files)


@pytest.mark.parametrize("name", FILES)
def test_no_container_can_take_the_whole_machine(name: str) -> None:
    for service in composed(name)["services"].values():
        assert service["logging"]["options"] == {"max-size": "20m", "max-file": "5"}
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_containers_run_the_kafka_that_the_tests_run() -> None:
    assert services()["kafka"]["image"] == f"apache/kafka:{VERSION}"
    assert f"(tested with {VERSION.rpartition('.')[0]})" in (ROOT / "docs" / "cluster.md").read_text("utf-8")


def test_a_folder_for_one_container_is_not_taken_for_the_cluster() -> None:
    named = [set(re.findall(r"\$\{(TOCSIN_\w*WATCH)", (ROOT / name).read_text("utf-8"))) for name in FILES]

    assert named == [{"TOCSIN_CLUSTER_WATCH"}, {"TOCSIN_WATCH"}]


def test_all_that_is_secret_is_made_anew_once_it_does_not_count_as_complete(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("tocsin", "kafka", "postgres")]
    _trust(*folders)
    first = _contents(tmp_path)
    _trust(*folders)
    again = _contents(tmp_path)
    (tmp_path / "tocsin" / "complete").unlink()

    _trust(*folders)

    assert first == again
    assert {path for path, content in _contents(tmp_path).items() if first[path] == content} == {"tocsin/complete"}


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_part_of_the_work_has_a_container_of_its_own() -> None:
    commands = {name: services()[name]["command"] for name in STAGED}

    assert {word for command in commands.values() for word in command[1:2]} == {*WORK, "web"}
    assert all(command[:2] == ["run", name] for name, command in commands.items())
    assert set(services()) == {*STAGED, "kafka", "postgres", "trust"}


def test_the_image_is_built_of_the_steps_that_the_rehearsal_walks_through() -> None:
    steps = re.findall(r"^RUN sh \S*image\.sh (\w+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    walked = re.findall(r"image\.sh (\w+)", (ROOT / "deploy" / "rehearse.sh").read_text("utf-8"))

    assert steps == walked
    assert len(re.findall(r"^RUN", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)) == len(steps)


@pytest.mark.timeout(LIMIT_S)
async def test_every_service_runs_by_its_own_command_and_settings(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with or_left_out(pytestconfig, lambda: installation(tmp_path)) as config:
        houses = [
            Service(config=config, data=tmp_path / name, stages=tuple(services()[name]["command"][1:]))
            for name in STAGED
        ]
        for house in houses:
            await house.start()
        try:
            for house in houses:
                await house.ready(90.0)
            scraped = [await _scraped(house, config) for house in houses]
            healthy = [
                subprocess.run(
                    [sys.executable, "-m", "tocsin.cli", *services()[name]["healthcheck"]["test"][2:]],
                    env={**os.environ, "TOCSIN_DATA": str(tmp_path / name)},
                    capture_output=True,
                    check=False,
                ).returncode
                for name in STAGED
            ]
            codes = [await house.stop() for house in houses]
        finally:
            for house in houses:
                if house.process is not None and house.process.returncode is None:
                    await house.kill()

        assert scraped == [[HTTPStatus.UNAUTHORIZED, HTTPStatus.OK]] * len(houses)
        assert healthy == [0] * len(houses)
        assert codes == [0] * len(houses)


async def _scraped(house: Service, config: Path) -> list[int]:
    """Ask for the metrics where other machines could, without the token that the containers share and with it."""
    told = await house.logged("listening")
    assert told["address"] == "0.0.0.0"  # noqa: S104 — what the container listens on
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0)) as session:
        statuses = []
        for headers in ({}, {"Authorization": f"Bearer {_token(config)}"}):
            async with session.get(f"http://127.0.0.1:{told['port']}/metrics", headers=headers) as response:
                statuses.append(response.status)
        return statuses


def _token(config: Path) -> str:
    settings = yaml.safe_load((config / "tocsin.yaml").read_text("utf-8"))
    return Path(settings["tocsin"]["web"]["tokens"][0]["token_file"]).read_text("utf-8").strip()


@contextmanager
def installation(folder: Path) -> Iterator[Path]:
    """Do what the containers `trust`, `postgres` and `kafka` do, on loopback; yield the configuration."""
    own = scratch("installation")
    own.chmod(0o755)  # PostgreSQL runs as somebody else
    tocsin, kafka, postgres = (own / name for name in ("tocsin", "kafka", "postgres"))
    broker = ServerProcess("kafka", own / "kafka.log")
    _trust(tocsin, kafka, postgres)
    certificate = {
        "ssl": "on",
        "ssl_cert_file": str(postgres / "server.crt"),
        "ssl_key_file": str(postgres / "server.key"),
    }
    try:
        with postgresql_server(fsync=False, settings=certificate) as database:
            _make_database(database.dsn(), (postgres / "password").read_text("utf-8"))
            port = _launch(broker, own, kafka)
            yield _config(folder / "config", tocsin, broker_port=port, database_port=database.port)
    finally:
        if broker.is_running:
            broker.kill()
        discard(own)


def _trust(*folders: Path) -> None:
    """Make certificates and passwords by the command of the container `trust`, for users that are here."""
    _, script, *places = services()["trust"]["entrypoint"]
    assert [Path(place).name for place in places] == [folder.name for folder in folders]
    server = _server_user()
    uid = os.getuid() if server is None else pwd.getpwnam(server).pw_uid
    users = {"TOCSIN_UID": os.getuid(), "KAFKA_UID": os.getuid(), "POSTGRES_UID": uid}
    run(
        ["sh", ROOT / "deploy" / Path(script).name, *folders],
        environment={
            **os.environ,
            **{name: str(number) for name, number in users.items()},
            "POSTGRES_HOST": "localhost",
        },
    )


def _make_database(dsn: str, password: str) -> None:
    """Do what the image of PostgreSQL does with its environment."""
    wanted = services()["postgres"]["environment"]
    user, name = sql.Identifier(wanted["POSTGRES_USER"]), sql.Identifier(wanted["POSTGRES_DB"])
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(user, sql.Literal(password)))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))


def _launch(broker: ServerProcess, own: Path, kafka: Path) -> int:
    """Start the broker by its container's script and settings, with ports and folders of this machine."""
    settings = (ROOT / "deploy" / "kafka" / "server.properties").read_text("utf-8")
    ports = {number: str(free_port()) for number in ("9092", "9093", "9094")}
    for number, port in ports.items():
        settings = settings.replace(f":{number}", f":{port}")
    settings = settings.replace("0.0.0.0", "127.0.0.1").replace("kafka:", "localhost:")  # noqa: S104 — taken out, not put in
    settings = settings.replace("/run/kafka/", f"{kafka}/").replace("/var/lib/kafka/data", str(own / "data"))
    (own / "server.properties").write_text(settings, "utf-8")
    programs = own / "home" / "bin"
    programs.mkdir(parents=True)
    for name, main in (("kafka-storage.sh", "kafka.tools.StorageTool"), ("kafka-server-start.sh", "kafka.Kafka")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{java()}" $KAFKA_HEAP_OPTS -cp "{jars()}/*" {main} "$@"\n', "utf-8")
        script.chmod(0o755)
    script = ROOT / "deploy" / "kafka" / Path(services()["kafka"]["entrypoint"][1]).name
    broker.launch(
        ["sh", script, own / "server.properties", kafka / "password"],
        environment={**os.environ, "KAFKA": str(own / "home"), "HEAP": "256m"},
    )
    return int(ports["9093"])


def _config(folder: Path, tocsin: Path, *, broker_port: int, database_port: int) -> Path:
    """Return the shipped configuration of the containers, with this machine's addresses and no feeds."""
    write_config(folder)
    dsn = (tocsin / "dsn").read_text("utf-8")
    (tocsin / "dsn-here").write_text(dsn.replace(":5432/", f":{database_port}/"), "utf-8")
    text = (ROOT / "deploy" / "config" / "tocsin.yaml").read_text("utf-8")
    here = {"kafka:9093": f"localhost:{broker_port}", "/run/tocsin/dsn": str(tocsin / "dsn-here")}
    here |= {"/run/tocsin/": f"{tocsin}/", "0.0.0.0:8080": "0.0.0.0:0"}
    for there, local in here.items():
        assert there in text
        text = text.replace(there, local)
    (folder / "tocsin.yaml").write_text(text, "utf-8")
    return folder
