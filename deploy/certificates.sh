#!/bin/sh
# Makes, once, what the containers trust one another by: a certificate authority of this installation alone, the
# certificates of Kafka and PostgreSQL, and the passwords. Each folder is a volume that only its own containers see.
#   certificates.sh TOCSIN_DIR KAFKA_DIR POSTGRES_DIR
# What is there already stays, so `docker compose up` may run it each time. Kafka and PostgreSQL take their passwords at
# their first start only: to change everything, see "New passwords and certificates" in docs/cluster.md.
set -eu
umask 077

tocsin=$1
kafka=$2
postgres=$3
TOCSIN_UID=${TOCSIN_UID:-10001}
KAFKA_UID=${KAFKA_UID:-1000}       # of the image apache/kafka
POSTGRES_UID=${POSTGRES_UID:-999}  # of the image postgres
DAYS=3650

[ -e "$tocsin/complete" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

password() { openssl rand -hex 32; }

certificate() { # NAME: $work/NAME.key and $work/NAME.crt, for the host of that name and for loopback
    openssl req -newkey rsa:3072 -nodes -keyout "$work/$1.key" -out "$work/$1.csr" -subj "/CN=$1" 2>/dev/null
    printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$1" >"$work/$1.ext"
    openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days "$DAYS" \
        -extfile "$work/$1.ext" -out "$work/$1.crt" 2>/dev/null
}

place() { # FILE OWNER: standard input becomes FILE, for its owner alone
    cat >"$1"
    chmod 0400 "$1"
    if [ "$(id -u)" = 0 ]; then chown "$2" "$1"; fi
}

mkdir -p "$tocsin" "$kafka" "$postgres"
chmod 0755 "$tocsin" "$kafka" "$postgres"
openssl req -x509 -newkey rsa:3072 -nodes -days "$DAYS" -keyout "$work/ca.key" -out "$work/ca.crt" \
    -subj "/CN=Tocsin of this installation" -addext "basicConstraints=critical,CA:TRUE" 2>/dev/null
certificate kafka
certificate postgres
kafka_password=$(password)
postgres_password=$(password)

cat "$work/kafka.key" "$work/kafka.crt" | place "$kafka/kafka.pem" "$KAFKA_UID"
printf '%s' "$kafka_password" | place "$kafka/password" "$KAFKA_UID"
place "$postgres/server.key" "$POSTGRES_UID" <"$work/postgres.key"
place "$postgres/server.crt" "$POSTGRES_UID" <"$work/postgres.crt"
printf '%s' "$postgres_password" | place "$postgres/password" "$POSTGRES_UID"
place "$tocsin/ca.pem" "$TOCSIN_UID" <"$work/ca.crt"
printf '%s' "$kafka_password" | place "$tocsin/kafka-password" "$TOCSIN_UID"
printf '%s' "postgresql://tocsin:$postgres_password@${POSTGRES_HOST:-postgres}:${POSTGRES_PORT:-5432}/tocsin?sslmode=verify-full&sslrootcert=$tocsin/ca.pem" |
    place "$tocsin/dsn" "$TOCSIN_UID"
password | place "$tocsin/web-token" "$TOCSIN_UID"
: >"$tocsin/complete"
