#!/bin/sh
# Ready means warm: in a cluster that serves this node's slots and, as a replica, with the whole shard copied.
CLI=${CLI:-valkey-cli}

cli() { "$CLI" -h 127.0.0.1 -p "$PORT" "$@"; }

info=$(cli INFO replication) || exit 1
case $info in
*role:slave*) echo "$info" | grep -q master_link_status:up ;;
*) cli CLUSTER NODES | awk '$3 ~ /myself/ && NF > 8 { slots = 1 } END { exit !slots }' ;;
esac
