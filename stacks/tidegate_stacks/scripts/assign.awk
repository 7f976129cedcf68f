# Which streams this worker transcodes. Every worker computes the same from the same lists, so that none has to be asked.
# Input: two files, addresses of the workers, then names of the streams, one a line. Variables: me, an address; most, how
# many streams one worker takes. Output: the names that are mine.
#
# Each stream ranks the workers by a hash of both names and goes to the first that has room. So a worker that comes or
# goes moves few streams, and none takes more than its share.

BEGIN { for (code = 1; code < 256; code++) ordinal[sprintf("%c", code)] = code }

function hash(text,   at, sum) {
  # Below the root of 2^53, up to which awk's numbers are exact: a square still fits. Squares, because sums of two names
  # alone would rank the workers nearly alike for all streams.
  sum = 5381
  for (at = 1; at <= length(text); at++) sum = (sum * 33 + ordinal[substr(text, at, 1)]) % 94906249
  for (at = 0; at < 3; at++) sum = (sum * sum + 12345) % 94906249
  return sum
}

FILENAME == ARGV[1] { if ($1 != "" && !($1 in known)) { known[$1] = 1; workers[++many] = $1 } next }
$1 ~ /^[A-Za-z0-9][A-Za-z0-9._-]*$/ && !($1 in named) { named[$1] = 1; streams[++all] = $1 }

function sort(list, count,   i, j, one) {
  for (i = 2; i <= count; i++) {
    one = list[i]
    for (j = i - 1; j > 0 && list[j] > one; j--) list[j + 1] = list[j]
    list[j + 1] = one
  }
}

END {
  sort(workers, many); sort(streams, all)
  for (s = 1; s <= all; s++) {
    best = ""
    for (w = 1; w <= many; w++) {
      if (taken[workers[w]] >= most) continue
      rank = hash(streams[s] "/" workers[w])
      if (best == "" || rank > first) { best = workers[w]; first = rank }
    }
    if (best == "") break  # all are full: what is left waits for the next worker
    taken[best]++
    if (best == me) print streams[s]
  }
}
