#!/bin/sh
# The steps of the image, one a RUN line of the Dockerfile. A test walks through the same ones in a bare Debian root.
#   tools           what is needed to build, in the build stage only
#   build SOURCE    /opt/tocsin: a virtual environment with the locked dependencies and the wheel made of SOURCE
#   runtime         what is needed to run, and the user that it runs as
set -eu

export DEBIAN_FRONTEND=noninteractive

packages() {
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
    rm -rf /var/lib/apt/lists/*
}

case "${1:-}" in
tools)
    packages python3 python3-venv ca-certificates
    ;;
build)
    source=$2
    python3 -m venv /opt/build
    /opt/build/bin/pip install -q --disable-pip-version-check --require-hashes -r "$source/requirements/setup.txt"
    (cd "$source" && /opt/build/bin/python -m hatchling build -t wheel -d /opt/build/wheel)
    python3 -m venv /opt/tocsin
    /opt/tocsin/bin/pip install -q --disable-pip-version-check --require-hashes -r "$source/requirements/run.txt"
    /opt/tocsin/bin/pip install -q --disable-pip-version-check --no-deps /opt/build/wheel/tocsin-*.whl
    rm -rf /opt/build
    ;;
runtime)
    packages python3 ca-certificates openssl
    useradd --system --uid 10001 --user-group --home-dir /var/lib/tocsin --shell /usr/sbin/nologin tocsin
    install -d -o tocsin -g tocsin -m 0700 /var/lib/tocsin
    install -d -m 0755 /etc/tocsin
    ;;
*)
    echo "image.sh: tools, build SOURCE or runtime" >&2
    exit 2
    ;;
esac
