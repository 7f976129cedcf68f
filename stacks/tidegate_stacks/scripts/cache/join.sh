#!/bin/sh
# Brings this node into its cluster and keeps it there: one round every ROUND_SECONDS, each of its steps safe to repeat.
#
# FIRST_SLOT, LAST_SLOT: slots of this pod's shard. SHARDS: how many there are; if not set, computed from the slots.
# CORE: pods of each shard that must be there before slots are taken. MACHINE: name of this pod's machine, if known.
# BEAT: file whose content says when a step last ended. The rest: see common.sh.
folder=$(dirname "$0")
. "$folder/common.sh"
. "$folder/meet.sh"
. "$folder/tidy.sh"
SHARDS=${SHARDS:-$(((16384 + (LAST_SLOT - FIRST_SLOT + 1) / 2) / (LAST_SLOT - FIRST_SLOT + 1)))}

beat() { [ -z "${BEAT:-}" ] || date +%s >"$BEAT"; }

look() { # this node's own view, anew
  nodes=$(cli CLUSTER NODES | view)
  me=$(echo "$nodes" | own 1)
}

round() {
  look
  [ -n "$me" ] || return
  [ "$(echo "$nodes" | own 4)" = "$POD.$SERVICE" ] || cli CONFIG SET cluster-announce-hostname "$POD.$SERVICE" >/dev/null
  renew_certificate
  meet && look
  [ -n "$me" ] || return
  give_copies
  place
  forget
  spread_masters
}

# A server that starts gives no copies: a replica that finds it at its lost master's address would take over its
# emptiness. One that serves slots, or follows who does, gives them after the usual delay.
give_copies() {
  [ "$(echo "$nodes" | own 6)$(echo "$nodes" | own 8)" = -- ] ||
    cli CONFIG SET repl-diskless-sync-delay "${SYNC_DELAY_SECONDS:-2}" >/dev/null
}

place() { # takes the shard's slots if they are nobody's, else follows whoever serves them
  master=$(echo "$nodes" | connected | masters | holders "$FIRST_SLOT" "$FIRST_SLOT" | awk '{ print $1; exit }')
  [ "$master" = "$me" ] && return
  following=$(echo "$nodes" | own 6)
  if [ -z "$master" ]; then
    take_over_from_nobody
    take_slots
  elif [ "$following" != "$master" ]; then
    cli CLUSTER REPLICATE "$master" >/dev/null
  else
    mend_link
  fi
}

# A master whose pod lost its volume comes back as another node. At the same address, the others see "not that node"
# (noaddr), and never count it as failed: nobody is elected. Its replica asks for the votes itself.
take_over_from_nobody() {
  case $(echo "$nodes" | field_of "$following" 5) in
  *noaddr*) orphaned=$((${orphaned:-0} + 1)) ;;
  *) orphaned=0 ;;
  esac
  [ "$orphaned" -lt 3 ] || cli CLUSTER FAILOVER FORCE >/dev/null
}

# A master's new address may be learnt from others' gossip. The server then keeps on asking at the old one.
# Redis connects anew when told again whom to replicate. Valkey 8 does nothing if the master is the same, so that it is
# told of another master first.
mend_link() {
  info=$(cli INFO replication | tr -d '\r')
  asked=$(echo "$info" | awk -F: '/^master_host:/ { sub(/^master_host:/, ""); print }')
  address=$(echo "$nodes" | field_of "$master" 2)
  case $info in
  *master_link_status:up*) stale=0 && return ;;
  esac
  [ "$asked" != "$address" ] || return
  stale=$((${stale:-0} + 1))
  if [ $((stale % 3)) -eq 0 ]; then
    other=$(echo "$nodes" | connected | masters | awk -v master="$master" '$1 != master { print $1; exit }')
    [ -z "$other" ] || cli CLUSTER REPLICATE "$other" >/dev/null
  fi
  cli CLUSTER REPLICATE "$master" >/dev/null
}

# A certificate is replaced in its Secret before it ends; the server reads it only when told.
renew_certificate() {
  [ -n "${TLS:-}" ] || return 0
  seen=$(cat "$TLS/tls.crt" "$TLS/tls.key" "$TLS/ca.crt" | cksum)
  if [ -n "${certificate:-}" ] && [ "$seen" != "$certificate" ]; then
    cli CONFIG SET tls-cert-file "$TLS/tls.crt" tls-key-file "$TLS/tls.key" tls-ca-cert-file "$TLS/ca.crt" >/dev/null
  fi
  certificate=$seen
}

trap 'exit 0' TERM INT
while :; do
  beat
  round
  sleep "${ROUND_SECONDS:-5}" &
  wait $!
done
