#!/bin/sh
# shellcheck disable=SC2034  # its readers use these variables
#
# What the scripts share: how a server is asked, and how its view of the cluster is read.
#
# POD: name of the pod, PREFIX-SHARD-ORDINAL. PORT: of every server. SEED: host (and :port) of the first pod of the
# first shard; what follows its first dot is the headless Service, whose name gives the addresses of all pods.
# CLI: the client, valkey-cli if not set. TLS: folder of the certificates, if the servers speak TLS.
# CACHE_USER: the ACL user, if it is not the default one; its password is in VALKEYCLI_AUTH and REDISCLI_AUTH.
CLI=${CLI:-valkey-cli}
ORDINAL=${POD##*-}
SHARD=${POD%-*}
SHARD=${SHARD##*-}
PREFIX=${POD%-*-*}
SERVICE=${SEED%:*}
SERVICE=${SERVICE#*.}

client() ( # client HOST PORT WORD...: one command to one server, given up after some seconds
  host=$1 port=$2
  shift 2
  [ -z "${CACHE_USER:-}" ] || set -- --user "$CACHE_USER" "$@"
  [ -z "${TLS:-}" ] || set -- --tls --cacert "$TLS/ca.crt" --cert "$TLS/tls.crt" --key "$TLS/tls.key" "$@"
  exec timeout "${ANSWER_SECONDS:-3}" "$CLI" -h "$host" -p "$port" "$@" 2>/dev/null
)

cli() { client 127.0.0.1 "$PORT" "$@"; }

# Reads CLUSTER NODES and prints a line for each node, "-" for what is not there:
#   1 id, 2 address, 3 port, 4 announced name, 5 flags, 6 id of its master, 7 link, 8 slots as 0-99,200-200
view() {
  awk 'NF >= 8 && length($1) == 40 {
    split($2, place, "@")
    split($2, more, ",")
    port = place[1]; sub(/.*:/, "", port)
    address = place[1]; sub(/:[0-9]*$/, "", address)
    slots = ""
    for (i = 9; i <= NF; i++) {
      if ($i ~ /^\[/) continue
      slots = slots (slots == "" ? "" : ",") ($i ~ /-/ ? $i : $i "-" $i)
    }
    print $1, (address == "" ? "-" : address), port, (more[2] == "" ? "-" : more[2]), $3, $4, $8, (slots == "" ? "-" : slots)
  }'
}

# What is asked of such lines. A node that fails is "fail"; one that only this node cannot reach is "fail?".
own() { awk -v field="$1" '$5 ~ /myself/ { print $field }'; }
field_of() { awk -v id="$1" -v field="$2" '$1 == id { print $field }'; }
connected() { awk '$7 == "connected" && $5 !~ /fail|handshake|noaddr/'; }
masters() { awk '$5 ~ /master/ && $8 != "-"'; }

holders() { # holders FIRST LAST: nodes, dead or alive, that hold any of these slots
  awk -v first="$1" -v last="$2" '{
    many = split($8, ranges, ",")
    for (i = 1; i <= many; i++) {
      split(ranges[i], ends, "-")
      if (ranges[i] != "-" && ends[1] + 0 <= last + 0 && first + 0 <= ends[2] + 0) { print; next }
    }
  }'
}

lookup() { getent hosts "$1" | awk '{ print $1 }'; } # addresses of a name; nothing if it has none
