#!/bin/sh
# Writes a JSON text as one message of a Connect stream: a byte of flags, four of length, the text.
#   envelope.sh '{"sessionId":"demo"}' > request
set -eu
length=$(printf %s "$1" | wc -c)
printf "$(printf '\\000\\%03o\\%03o\\%03o\\%03o' \
  $((length >> 24 & 255)) $((length >> 16 & 255)) $((length >> 8 & 255)) $((length & 255)))"
printf %s "$1"
