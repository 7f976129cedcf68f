#!/bin/sh
# Starts the server with what only its pod knows: its address, its machine, and its password.
#
# The settings go in through standard input: a command line can be read by everybody on the machine.
# POD_IP: the address that others reach it at. MACHINE: name of its machine, which others read as syslog-ident.
# STATE: nodes.conf. SETTINGS: server.conf. USERS: the ACL file, if there is one.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# A client would send the line break, and no setting of the server holds one: nobody would be let in.
case ${REDISCLI_AUTH:-} in
*"
"*)
  echo "the Secret's password holds a line break, at its end perhaps: make it without one, e.g. with printf %s" >&2
  exit 1
  ;;
esac

quoted() { printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/'; }

# A master that starts again has lost its memory and kept its slots: its replicas would copy the empty memory. While it
# waits, one of them takes over, and this node comes back as its replica.
STATE=${STATE:-/data/nodes.conf}
if [ -s "$STATE" ]; then
  me=$(view <"$STATE" | own 1)
  if [ "$(view <"$STATE" | own 8)" != - ] && view <"$STATE" | awk '{ print $6 }' | grep -q "^$me$"; then
    trap 'exit 0' TERM
    sleep "${TAKEOVER_SECONDS:-15}" &
    wait $!
  fi
fi

exec "${SERVER:-valkey-server}" - <<END
include ${SETTINGS:-/etc/cache/server.conf}
${POD_IP:+cluster-announce-ip $POD_IP}
cluster-announce-hostname $POD.$SERVICE
${MACHINE:+syslog-ident $MACHINE}
$([ -z "${REDISCLI_AUTH:-}" ] || printf 'masterauth %s\n' "$(quoted "$REDISCLI_AUTH")")
$([ -z "${CACHE_USER:-}" ] || echo "masteruser $CACHE_USER")
$([ -z "${USERS:-}" ] || echo "aclfile $USERS")
$([ -z "${REDISCLI_AUTH:-}" ] || [ -n "${USERS:-}" ] || printf 'requirepass %s\n' "$(quoted "$REDISCLI_AUTH")")
END
