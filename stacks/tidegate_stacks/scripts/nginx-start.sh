#!/bin/sh
# Starts nginx in a pod. $1: its configuration; $2, $3, $4: other places of the pod's DNS servers, of the configuration
# that nginx runs with, and of the cache, for tests.
set -eu
conf=$1
dns=${2:-/etc/resolv.conf}
runs=${3:-RUNS}
cache=${4:-/var/cache/edge}

# A server that was killed leaves its sockets, and the volume outlives the container: nginx would not bind them again.
rm -f "$cache"/*.sock

# nginx asks DNS servers itself, so that it must be told of those that the pod has. IPv6 addresses stand in brackets.
servers=$(awk '$1 == "nameserver" { printf "%s ", ($2 ~ /:/ ? "[" $2 "]" : $2) }' "$dns")
awk -v servers="${servers% }" '
  servers != "" && $0 ~ /^ *RESOLVER_LINE$/ { sub(/127\.0\.0\.1/, servers) }
  { print }
' "$conf" >"$runs"

exec nginx -g 'daemon off;' -c "$runs"
