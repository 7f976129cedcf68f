#!/bin/sh
# Sends a list of objects to the caches of a CDN, within a budget: to warm them (prefetch) or to replace what they hold
# (purge). Needs only sh, awk and curl.
#
# ACTION: prefetch or purge. HOST: the public host name, part of every cache key. URLS: file of paths, one a line.
# FIRST, THEN: caches as host:port, separated by spaces; a name that has several addresses stands for all of them. What is
#   in FIRST is done with before THEN begins: a purge refreshes the shield before the sites, which fetch from there.
# FOLLOW: 1 to add what playlists (.m3u8) name, down to two levels.
# CONCURRENCY, REQUESTS, BYTES, SECONDS_BUDGET: the budget. At its end nothing new is begun. An object that is under way is
#   finished, so that at most CONCURRENCY objects come beyond BYTES.
#
# Prints one line an object that failed and one line at the end. Exits 1 when an object failed, or a purge is not complete.
WORK=${WORK:-/tmp}
LIST=$WORK/list DONE=$WORK/done BEAT=$WORK/beat
TAB=$(printf '\t')
END=$(($(date +%s) + SECONDS_BUDGET))

addresses() { # $1: a cache; prints address:port for each address of its name
  host=${1%:*} port=${1##*:}
  case $host in *[!0-9.]*) ;; *) echo "$1" && return ;; esac
  # Both are asked: images have one or the other, and some getent prints one address of several.
  {
    getent ahosts "$host"
    nslookup "$host" | awk '/^Name:/ { named = 1 } named && /^Address/ { print $NF }'
  } 2>/dev/null |
    awk '!seen[$1]++ { print $1 }' | while read -r address; do
      case $address in *:*) echo "[$address]:$port" ;; *) echo "$address:$port" ;; esac
    done
}

all_addresses() { for cache in "$@"; do addresses "$cache"; done; }

left() { # succeeds while the budget lasts; says in $WORK/ended what ended
  if [ "$(date +%s)" -ge "$END" ]; then echo seconds >"$WORK/ended"; return 1; fi
  awk -v bytes="$BYTES" -v requests="$REQUESTS" '
    { sum += $2 }
    END { if (sum >= bytes) exit 2; if (NR >= requests) exit 3 }' "$DONE"
  case $? in
    2) echo bytes >"$WORK/ended"; return 1 ;;
    3) echo requests >"$WORK/ended"; return 1 ;;
  esac
}

get() { # $1: address:port, $2: path, $3: file for the body; notes status, bytes, address and path in $DONE
  seconds=$((END - $(date +%s)))
  [ "$seconds" -gt 0 ] || seconds=1
  # A number for each request keeps curl's answer apart where the connection fails.
  answer=$(curl --silent --globoff --output "$3" --max-time "$seconds" --connect-timeout 5 --noproxy '*' \
    --connect-to "::$1" --write-out '%{http_code} %{size_download}' "http://$HOST$2")
  echo "${answer:-000 0} $1 $2" >>"$DONE"
  touch "$BEAT"
}

named_in() { # $1: path of a playlist, $2: its text; prints the paths that it names on this host
  tr -d '\r' <"$2" | awk -v base="$1" -v host="$HOST" '
    function clean(path,   query, parts, count, kept, i, made) {
      query = ""
      if (i = index(path, "?")) { query = substr(path, i); path = substr(path, 1, i - 1) }
      count = split(path, parts, "/"); kept = 0
      for (i = 2; i <= count; i++) {
        if (parts[i] == ".." ) { if (kept) kept--; continue }
        if (parts[i] == ".") continue
        out[++kept] = parts[i]
      }
      made = ""
      for (i = 1; i <= kept; i++) made = made "/" out[i]
      return (made == "" ? "/" : made) query
    }
    function name(uri,   folder) {
      if (uri ~ /^https?:\/\//) {
        sub(/^https?:\/\//, "", uri)
        if (index(uri, host "/") != 1) return
        uri = substr(uri, length(host) + 1)
      } else if (uri !~ /^\//) {
        folder = base; sub(/\?.*/, "", folder); sub(/[^\/]*$/, "", folder)
        uri = folder uri
      }
      sub(/#.*/, "", uri)
      print clean(uri)
    }
    /^#EXT/ && match($0, /URI="[^"]*"/) { name(substr($0, RSTART + 5, RLENGTH - 6)); next }
    /^#/ || /^[ \t]*$/ { next }
    { name($0) }'
}

is_playlist() { case ${1%%\?*} in *.m3u8) ;; *) return 1 ;; esac; }

expand() { # $1: a cache, $2: file of paths; prints them and, where FOLLOW says so, what playlists name
  cp "$2" "$WORK/level0"
  cat "$2"
  [ "$FOLLOW" = 1 ] || return 0
  for level in 0 1; do
    : >"$WORK/level$((level + 1))"
    while IFS= read -r path; do
      is_playlist "$path" && left || continue
      get "$1" "$path" "$WORK/playlist"
      named_in "$path" "$WORK/playlist" >>"$WORK/level$((level + 1))"
    done <"$WORK/level$level"
    cat "$WORK/level$((level + 1))"
  done
}

work() { # $1: number of a worker; takes every CONCURRENCY-th line of the list
  awk -v worker="$1" -v workers="$CONCURRENCY" 'NR % workers == worker' "$LIST" |
    while IFS="$TAB" read -r address path; do
      left || break
      get "$address" "$path" /dev/null
    done
}

send() { # $1: caches; sends every object to each of their addresses, all objects to one before the next
  # shellcheck disable=SC2086  # caches are several arguments
  all_addresses $1 >"$WORK/addresses"
  if [ -n "$1" ] && [ ! -s "$WORK/addresses" ]; then
    echo "no address for $1"
    echo "000 0 $1 -" >>"$DONE"
  fi
  while IFS= read -r address; do
    sed "s|^|$address$TAB|" "$WORK/objects"
  done <"$WORK/addresses" >"$LIST"
  cat "$LIST" >>"$WORK/asked"
  worker=0
  while [ "$worker" -lt "$CONCURRENCY" ]; do
    work "$worker" &
    worker=$((worker + 1))
  done
  wait
}

rm -f "$WORK/ended" "$WORK/asked"
: >"$DONE" && touch "$BEAT" || exit 1
# shellcheck disable=SC2086  # caches are several arguments
entry=$(all_addresses $FIRST $THEN | head -n 1)
if [ -z "$entry" ]; then
  echo "no address for $FIRST $THEN: does the CDN run?"
  exit 1
fi
grep -v '^[[:space:]]*$' "$URLS" >"$WORK/given"
expand "$entry" "$WORK/given" | awk '!seen[$0]++' >"$WORK/objects"
followed=$(wc -l <"$DONE")
send "$FIRST"
send "$THEN"

awk -v action="$ACTION" -v followed="$followed" -v asked="$(wc -l <"$WORK/asked")" \
  -v ended="$(cat "$WORK/ended" 2>/dev/null)" -v objects="$(wc -l <"$WORK/objects")" '
  function well(status) { return action == "purge" ? status >= 200 && status < 500 : status == 200 || status == 206 }
  { bytes += $2; if (well($1)) done++; else { failed++; print "failed: " $1 " " $3 " " $4 } }
  END {
    missing = asked - (NR - followed)
    if (missing < 0) missing = 0
    printf "%s: %d objects, %d requests, %d bytes, %d failed, %d not sent%s\n", action, objects, NR, bytes, failed,
      missing, ended == "" ? "" : ": the budget of " ended " is spent"
    exit failed > 0 || (missing > 0 && action == "purge")
  }' "$DONE"
