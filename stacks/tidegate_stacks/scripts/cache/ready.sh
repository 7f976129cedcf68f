#!/bin/sh
# Ready means warm: in a cluster that serves this node's slots and, as a replica, with the whole shard copied.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

info=$(cli INFO replication) || exit 1
case $info in
*role:slave*) echo "$info" | grep -q master_link_status:up ;;
*) [ "$(cli CLUSTER NODES | view | own 8)" != - ] ;;
esac
