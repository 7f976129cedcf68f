#!/bin/sh
# Before this node stops: if it serves slots, one of its replicas takes over first, so that no write is refused longer
# than that takes. Gives up after 20 s: the cluster then elects a replica by itself.
CLI=${CLI:-valkey-cli}

cli() { "$CLI" -h 127.0.0.1 -p "$PORT" "$@"; }

me=$(cli CLUSTER MYID) || exit 0
replica=$(cli CLUSTER NODES | awk -v me="$me" '
  $3 ~ /slave/ && $3 !~ /fail/ && $4 == me && $8 == "connected" { sub(/@.*/, "", $2); print $2; exit }')
[ -n "$replica" ] || exit 0
"$CLI" -h "${replica%:*}" -p "${replica##*:}" CLUSTER FAILOVER >/dev/null || exit 0
tries=0
while [ $tries -lt 40 ] && cli ROLE | head -n 1 | grep -q master; do
  tries=$((tries + 1))
  sleep 0.5
done
exit 0
