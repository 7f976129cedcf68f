#!/bin/sh
# shellcheck disable=SC2154  # variables of join.sh
#
# What keeps a cluster in order: nodes that are gone are forgotten, masters stand on different machines. Read by join.sh.

# One node, the master of the smallest id, forgets for all: a node that only some forget comes back by gossip.
forget() {
  [ "$(echo "$nodes" | connected | masters | sort | awk '{ print $1; exit }')" = "$me" ] || return 0
  kept=
  for id in $(echo "$nodes" | awk '$8 == "-" && ($5 ~ /noaddr/ || $5 ~ /(^|,)fail(,|$)/) { print $1 }'); do
    beat
    if gone "$(name_of "$id")"; then
      cli CLUSTER FORGET "$id" >/dev/null
      echo "$nodes" | connected | awk '$5 !~ /myself/' | while read -r _ address port _; do
        client "$address" "$port" CLUSTER FORGET "$id" >/dev/null
      done
    fi
  done
  missing=$kept
}

name_of() { # the name that a node announced: gossip does not carry it, so that a newcomer has to ask those who met it
  {
    echo "$nodes"
    echo "$nodes" | connected | awk '$5 !~ /myself/' | while read -r _ address port _; do
      client "$address" "$port" CLUSTER NODES | view
    done
  } | awk -v id="$1" '$1 == id && $4 != "-" && !found { print $4; found = 1 }'
}

# gone NAME: whether the failed node that announced this name, in "id", is gone for good. Either a pod of that name is
# another node now, or there has been no pod of that name for FORGET_SECONDS. A pod that merely cannot be reached still
# has its name. While this pod's own name is not found, nothing can be said of others'.
gone() {
  [ -n "$1" ] || return 1
  address=$(lookup "$1")
  if [ -n "$address" ]; then
    another=$(ask "$address" | awk -v name="$1" '$5 ~ /myself/ && $4 == name { print $1 }')
    [ -n "$another" ] && [ "$another" != "$id" ]
    return
  fi
  [ -n "$(lookup "$POD.$SERVICE")" ] || return 1
  now=$(date +%s)
  since=$(echo "${missing:-}" | tr ';' '\n' | awk -v id="$id" '$1 == id { print $2 }')
  kept="$kept$id ${since:-$now};"
  [ $((now - ${since:-$now})) -ge "${FORGET_SECONDS:-600}" ]
}

# If the loss of one machine would leave too few masters to elect others, a replica elsewhere becomes master: this node,
# in its shard's turn. Turns are TURN_SECONDS of the clock each, so that one shard acts at a time, and once.
spread_masters() {
  turn=$(($(date +%s) / ${TURN_SECONDS:-30}))
  [ -n "${MACHINE:-}" ] && [ $((turn % SHARDS)) -eq "$SHARD" ] && [ "$turn" != "${acted:-}" ] || return 0
  acted=$turn
  [ "$(echo "$nodes" | own 8)" = - ] && healthy || return 0
  machines=$(echo "$nodes" | masters | while read -r id address port _; do
    machine=$(client "$address" "$port" CONFIG GET syslog-ident | tail -n 1)
    echo "$id ${machine:--}"
  done)
  echo "$machines" | awk -v master="$(echo "$nodes" | own 6)" -v mine="$MACHINE" '
    { at[$2]++; machine[$1] = $2 }
    END {
      there = machine[master]
      bearable = NR < 3 ? 1 : int((NR - 1) / 2)  # so many lost ones leave a majority
      exit !(there != "" && there != "-" && at[there] > bearable && at[mine] + 1 < at[there])
    }' || return 0
  cli CLUSTER FAILOVER >/dev/null
}

healthy() { # the cluster is whole, nobody is missing, and this node has its shard
  [ "$(echo "$nodes" | connected | wc -l)" -eq "$(echo "$nodes" | wc -l)" ] || return 1
  cli CLUSTER INFO | grep -q cluster_state:ok && cli INFO replication | grep -q master_link_status:up
}
