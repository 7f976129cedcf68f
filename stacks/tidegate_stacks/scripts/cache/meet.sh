#!/bin/sh
# shellcheck disable=SC2154  # variables of join.sh
#
# Meeting the others, and taking slots. Read by join.sh.
#
# Meeting is safe: nodes that know each other are one cluster, and it holds whatever one of them holds. Only slots make
# a cluster of its own. So slots are taken on positive evidence alone: see take_slots.

pod_name() { echo "$PREFIX-$1-$2.$SERVICE"; } # pod_name SHARD ORDINAL

addresses() { # where other pods may be: by the Service's name; if it gives nobody, by the names of pods and the hint
  all=$(lookup "$SERVICE")
  if [ "$(echo "$all" | wc -l)" -gt 1 ]; then
    echo "$all"
    return
  fi
  {
    lookup "${SEED%:*}"
    shard=0
    while [ "$shard" -lt "$SHARDS" ]; do
      lookup "$(pod_name "$shard" 0)"
      lookup "$(pod_name "$shard" 1)"
      shard=$((shard + 1))
    done
  } | sort -u
}

# Prints the view of the pod at an address, if its announced name says that it is one of ours: an address may belong to
# somebody else's cache by now, and a cluster that has met another one stays with it.
ask() {
  client "$1" "${2:-$PORT}" CLUSTER NODES | view | awk -v service=".$SERVICE" '
    { lines = lines $0 "\n" }
    $5 ~ /myself/ { ours = index($4, service) && substr($4, index($4, service)) == service }
    END { if (ours) printf "%s", lines }'
}

# Everybody in this node's view is there, and the next one knows this node: nothing to do. Else meet whoever lives at
# an address where this node sees nobody, ten in a round. Succeeds if it met somebody.
meet() {
  met=0
  ring && return 1
  for address in $(addresses); do
    beat
    echo "$nodes" | connected | awk -v address="$address" '$2 == address { found = 1 } END { exit !found }' && continue
    id=$(ask "$address" | own 1)
    if [ -z "$id" ] || [ "$id" = "$me" ]; then continue; fi
    cli CLUSTER MEET "$address" "$PORT" >/dev/null
    met=$((met + 1))
    [ "$met" -lt 10 ] || break
  done
  [ "$met" -gt 0 ]
}

# Whether all are connected, and the next node in the order of ids has this one in its view. Answers of a node that
# was forgotten are still accepted by the others: it sees them, and they do not see it.
ring() {
  [ "$(echo "$nodes" | connected | wc -l)" -eq "$(echo "$nodes" | wc -l)" ] || return 1
  next=$(echo "$nodes" | sort | awk -v me="$me" '
    NR == 1 { first = $2 " " $3 } found { print $2, $3; done = 1; exit } $1 == me { found = 1 }
    END { if (!done && NR > 1) print first }')
  [ -n "$next" ] || return 1
  # shellcheck disable=SC2086  # address and port are two arguments
  ask $next | grep -q "^$me " && return 0
  # shellcheck disable=SC2086
  cli CLUSTER MEET $next >/dev/null
  return 1
}

# The first pod of a shard takes its slots if nobody holds any of them. That an answer is missing proves nothing, so
# each pod that must be there has to answer, under its own name, and no view may show a holder, dead or alive. Slots
# are not part of gossip: a newcomer does not know those of a node that died before it came, others do.
take_slots() {
  [ "$ORDINAL" = 0 ] || return 0
  [ -z "$(echo "$nodes" | holders "$FIRST_SLOT" "$LAST_SLOT")" ] || return 0
  [ "$(echo "$nodes" | own 8)" = - ] || return 0
  shard=0
  while [ "$shard" -lt "$SHARDS" ]; do
    ordinal=0
    while [ "$ordinal" -lt 3 ] || [ "$ordinal" -lt "${CORE:-1}" ]; do
      vouches "$(pod_name "$shard" "$ordinal")" "$ordinal" || return 0
      ordinal=$((ordinal + 1))
    done
    shard=$((shard + 1))
  done
  for address in $(lookup "$SERVICE"); do
    free_in "$(ask "$address")" || return 0
  done
  cli CLUSTER ADDSLOTSRANGE "$FIRST_SLOT" "$LAST_SLOT" >/dev/null
}

vouches() ( # vouches NAME ORDINAL: the pod is in this node's cluster and knows no holder; or it does not exist
  beat
  address=$(lookup "$1")
  if [ -z "$address" ]; then
    [ "$2" -ge "${CORE:-1}" ]
    return
  fi
  seen=$(ask "$address")
  [ "$(echo "$seen" | own 4)" = "$1" ] && free_in "$seen" || return
  id=$(echo "$seen" | own 1)
  [ "$2" -ge "${CORE:-1}" ] || echo "$nodes" | connected | grep -q "^$id "
)

free_in() { # whether a view was given, and shows nobody who holds any of this shard's slots
  [ -n "$1" ] && [ -z "$(echo "$1" | holders "$FIRST_SLOT" "$LAST_SLOT")" ]
}
