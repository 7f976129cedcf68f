#!/bin/bash
# Starts SRS in a pod. $1: its configuration; $2: how many open files it needs.
set -eu
conf=$1
needs=$2

# SRS compares max_connections with the soft limit of open files, and ends where that is too low. Container engines
# begin with 1,024 and allow more.
may=$(ulimit -H -n)
if [ "$may" != unlimited ] && [ "$may" -lt "$needs" ]; then
  echo "SRS needs $needs open files, and this machine allows a container $may:" \
    "raise the hard limit of open files of the node's container engine (LimitNOFILE)" >&2
  exit 1
fi
ulimit -S -n "$may"

exec ./objs/srs -c "$conf"
