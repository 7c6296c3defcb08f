#!/bin/sh
# Formats the broker's storage on its first start, with the one user that programs come in as, and runs it.
#   start.sh SERVER_PROPERTIES PASSWORD_FILE [--override KEY=VALUE …]
set -eu
KAFKA=${KAFKA:-/opt/kafka}
CLUSTER_ID=${CLUSTER_ID:-dG9jc2luLW9uZS1icm9rZQ}
properties=$1
password=$(cat "$2")
shift 2
"$KAFKA/bin/kafka-storage.sh" format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$properties" \
    --add-scram "SCRAM-SHA-512=[name=tocsin,password=$password]"
# Here and not in the container's environment, which the health check's own Java would inherit.
KAFKA_HEAP_OPTS="-Xms${HEAP:-512m} -Xmx${HEAP:-512m}" exec "$KAFKA/bin/kafka-server-start.sh" "$properties" "$@"
