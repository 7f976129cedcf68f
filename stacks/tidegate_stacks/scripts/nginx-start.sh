#!/bin/sh
# Starts nginx in a pod. $1: its configuration; $2, $3, $4, $5: other places of the pod's DNS servers, of the
# configuration that nginx runs with, of the cache, and of the list of IPv6 addresses, for tests.
set -eu
conf=$1
dns=${2:-/etc/resolv.conf}
runs=${3:-RUNS}
cache=${4:-/var/cache/edge}
addresses=${5:-/proc/net/if_inet6}

# A server that was killed leaves its sockets, and the volume outlives the container: nginx would not bind them again.
rm -f "$cache"/*.sock

# Each connection takes up to five files. Container engines begin with 1,024 and allow more.
# shellcheck disable=SC3045  # the shells of Alpine and of Debian know -S and -H
ulimit -S -n "$(ulimit -H -n)"

# A pod may have an IPv4 address, an IPv6 address, or both. A kernel without IPv6 refuses its addresses.
ipv6=$(head -n 1 "$addresses" 2>/dev/null || true)

# nginx asks DNS servers itself, so that it must be told of those that the pod has. IPv6 addresses stand in brackets.
servers=$(awk '$1 == "nameserver" { printf "%s ", ($2 ~ /:/ ? "[" $2 "]" : $2) }' "$dns")
awk -v servers="${servers% }" -v ipv6="$ipv6" '
  servers != "" && $0 ~ /^ *RESOLVER_LINE$/ { sub(/127\.0\.0\.1/, servers) }
  ipv6 != "" && $1 == "listen" && $2 ~ /^[0-9]+;?$/ { other = $0; sub(/listen /, "listen [::]:", other); print other }
  { print }
' "$conf" >"$runs"

exec nginx -g 'daemon off;' -c "$runs"
