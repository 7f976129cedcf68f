#!/bin/sh
# A worker: transcodes the streams that are its own. Environment: POD_IP; WORKERS, a name that resolves to all of them;
# STREAMS_URL, which answers with the names of live streams, one a line; MOST, how many this one takes; HERE, the folder of
# these files; RUN, a folder to write to; EVERY, seconds from one look to the next (2).
# What cannot be asked is taken as it was: a list or a name server that does not answer stops no stream.
set -u
mkdir -p "$RUN/jobs"
rm -f "$RUN"/jobs/* "$RUN/says"

# ffmpeg names the whole URL in what it says, and a URL to publish at holds the key.
mkfifo "$RUN/says"
sed -u 's/key=[^[:space:]]*/key=.../g' <"$RUN/says" >&2 &
exec 3>"$RUN/says"

stop() {
  trap - TERM INT
  exec 3>&-
  for job in "$RUN"/jobs/*; do [ -f "$job" ] && kill "$(cat "$job")" 2>/dev/null; done
  wait
  exit 0
}
trap stop TERM INT

while :; do
  getent ahosts "$WORKERS" | awk '{ print $1 }' | sort -u >"$RUN/workers.new"
  [ -s "$RUN/workers.new" ] && mv "$RUN/workers.new" "$RUN/workers"
  # ffmpeg reads any URL as it is: the image needs no other client.
  if ffmpeg -nostdin -v quiet -rw_timeout 5000000 -f data -i "$STREAMS_URL" -map 0 -c copy -f data "$RUN/streams.new" -y; then
    mv "$RUN/streams.new" "$RUN/streams"
  fi
  if [ -f "$RUN/workers" ] && [ -f "$RUN/streams" ]; then
    awk -v me="$POD_IP" -v most="$MOST" -f "$HERE/assign.awk" "$RUN/workers" "$RUN/streams" >"$RUN/mine"
    for job in "$RUN"/jobs/*; do
      [ -f "$job" ] || continue
      pid=$(cat "$job")
      if ! kill -0 "$pid" 2>/dev/null; then
        rm -f "$job"
      elif ! grep -qxF "$(basename "$job")" "$RUN/mine"; then
        kill "$pid"
        rm -f "$job"
      fi
    done
    while read -r stream; do
      [ -f "$RUN/jobs/$stream" ] && continue
      sh "$HERE/ladder.sh" "$stream" </dev/null >&3 2>&1 3>&- &
      echo $! >"$RUN/jobs/$stream"
    done <"$RUN/mine"
  fi
  date +%s >"$RUN/alive"
  # In the background, so that a signal is heard at once.
  sleep "${EVERY:-2}" &
  wait $!
done
