#!/bin/sh
# Before this node stops: if it serves slots, one of its replicas takes over first, so that no write is refused longer
# than that takes. Gives up after LEAVE_SECONDS: the cluster then elects a replica by itself.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

serves() { cli ROLE | head -n 1 | grep -q master; }

me=$(cli CLUSTER MYID)
end=$(($(date +%s) + ${LEAVE_SECONDS:-20}))
while [ -n "$me" ] && serves && [ "$(date +%s)" -lt "$end" ]; do
  replicas=$(cli CLUSTER NODES | view | connected | awk -v me="$me" '$6 == me { print $2, $3 }')
  [ -n "$replicas" ] || exit 0
  # Each in turn: one that lost its link a moment ago refuses, or does not win.
  echo "$replicas" | while read -r address port; do
    client "$address" "$port" CLUSTER FAILOVER >/dev/null || continue
    tries=0
    while [ $tries -lt 12 ] && serves; do
      tries=$((tries + 1))
      sleep 0.5
    done
    serves || break
  done
done
exit 0
