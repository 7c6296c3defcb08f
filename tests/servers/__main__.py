"""`python -m tests.servers`: a server to try things on, until Ctrl-C; or all set-up beforehand."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import AbstractContextManager
from typing import Any

from tests.servers import kafka
from tests.servers.kafka import KafkaCluster, kafka_cluster
from tests.servers.postgresql import PostgresqlServer, postgresql_server
from tests.servers.postgresql_programs import programs
from tests.servers.processes import ServerFailed
from tests.servers.setting_up import LeftOut


def main() -> int:
    """Do what the words on the command line say; print as JSON how to reach the server."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    which = parser.add_subparsers(dest="which", required=True)
    which.add_parser("install", help="install and fetch what is missing, start nothing")
    which.add_parser("postgresql", help="run one PostgreSQL")
    broker = which.add_parser("kafka", help="run Kafka")
    broker.add_argument("--brokers", type=int, default=1, help="how many (1)")
    broker.add_argument("--secured", action="store_true", help="listen with TLS, SCRAM and OAUTHBEARER as well")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments.which == "install":
            programs()
            kafka.install()
        elif arguments.which == "postgresql":
            _run(postgresql_server())
        else:
            _run(kafka_cluster(arguments.brokers, secured=arguments.secured))
    except (LeftOut, ServerFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _run(opening: AbstractContextManager[PostgresqlServer] | AbstractContextManager[KafkaCluster]) -> None:
    with opening as server:
        print(json.dumps(_told(server), indent=2), flush=True)
        signal.pause()


def _told(server: PostgresqlServer | KafkaCluster) -> dict[str, Any]:
    if isinstance(server, PostgresqlServer):
        return {"dsn": server.dsn(), "pid": server.pid, "log": str(server.log_file)}
    told: dict[str, Any] = {
        "bootstrap": server.bootstrap,
        "pids": [broker.pid for broker in server.brokers],
        "logs": [str(broker.log_file) for broker in server.brokers],
    }
    security = server.brokers[0].security
    if security is not None:
        told |= {
            **{name: [broker.address(name) for broker in server.brokers] for name in security.listeners},
            "ca_file": str(security.ca_file),
            "certificate_file": str(security.certificate_file),
            "key_file": str(security.key_file),
            "user": security.user,
            "password": security.password,
            "token_url": security.tokens.url,
            "client_id": security.tokens.client_id,
            "client_secret": security.tokens.client_secret,
        }
    return told


if __name__ == "__main__":
    sys.exit(main())
