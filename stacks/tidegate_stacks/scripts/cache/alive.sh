#!/bin/sh
# Alive means not stuck. `alive.sh server`: the server answers, whatever it says: one that loads, waits for its master or
# runs a script is at work. `alive.sh join`: join.sh has ended a step within the last BEAT_SECONDS.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

case $1 in
server) [ -n "$(cli PING)" ] ;;
join) [ $(($(date +%s) - $(cat "$BEAT"))) -lt "${BEAT_SECONDS:-60}" ] ;;
*) exit 2 ;;
esac
