#!/bin/sh
# Brings this node into its cluster and keeps it there, one small step per round, each of them safe to repeat:
# meet the seed, take the shard's slots if they are nobody's, follow whoever serves them.
#
# POD: name of the pod, ending in its number within the shard. PORT. FIRST_SLOT, LAST_SLOT: the shard's slots.
# SEED: host (and :port) of the first pod of the first shard. CLI: the client, valkey-cli if not set.
CLI=${CLI:-valkey-cli}
ORDINAL=${POD##*-}

cli() { "$CLI" -h 127.0.0.1 -p "$PORT" "$@"; }

seed() { # prints "address port" of the seed; nothing while its name does not resolve
  host=${SEED%:*}
  port=${SEED##*:}
  [ "$port" = "$SEED" ] && port=$PORT
  address=$(getent hosts "$host" | awk '{ print $1; exit }')
  [ -n "$address" ] && echo "$address $port"
}

owner() { # prints the id of the healthy master that serves this shard's first slot
  awk -v slot="$FIRST_SLOT" '
    $3 ~ /master/ && $3 !~ /fail/ {
      for (i = 9; i <= NF; i++) {
        if ($i ~ /^\[/) continue
        split($i, range, "-")
        if (range[1] + 0 <= slot + 0 && slot + 0 <= (range[2] == "" ? range[1] : range[2]) + 0) { print $1; exit }
      }
    }'
}

claimed() { # succeeds if any node, dead or alive, holds this shard's first slot: a dead one's replicas will take over
  awk -v slot="$FIRST_SLOT" '
    { for (i = 9; i <= NF; i++) {
        if ($i ~ /^\[/) continue
        split($i, range, "-")
        if (range[1] + 0 <= slot + 0 && slot + 0 <= (range[2] == "" ? range[1] : range[2]) + 0) found = 1
      } }
    END { exit !found }'
}

round() {
  me=$(cli CLUSTER MYID) || return
  [ -n "$me" ] || return
  nodes=$(cli CLUSTER NODES) || return
  alive=$(echo "$nodes" | awk '$8 == "connected" && $3 !~ /fail|handshake|noaddr/' | wc -l)
  if [ "$alive" -lt 2 ]; then
    # shellcheck disable=SC2046  # address and port are two arguments
    set -- $(seed)
    # The seed meets itself here as well, which does nothing.
    [ $# -eq 2 ] && cli CLUSTER MEET "$1" "$2" >/dev/null
    # Alone, only the seed may go on: its shard is where the cluster starts.
    [ "${SEED%%.*}" = "$POD" ] || return
  fi
  master=$(echo "$nodes" | owner)
  if [ -z "$master" ]; then
    if [ "$ORDINAL" = 0 ] && ! echo "$nodes" | claimed; then
      cli CLUSTER ADDSLOTSRANGE "$FIRST_SLOT" "$LAST_SLOT"
    fi
    return
  fi
  [ "$master" = "$me" ] && return
  following=$(echo "$nodes" | awk -v me="$me" '$1 == me { print $4 }')
  [ "$following" = "$master" ] || cli CLUSTER REPLICATE "$master"
}

trap 'exit 0' TERM INT
while :; do
  round
  sleep "${ROUND_SECONDS:-5}" &
  wait $!
done
