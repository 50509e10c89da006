#!/bin/sh
# The log of a session, from a place on, up to its head. Five bytes stand before each JSON text.
#   TOKEN=... read-log.sh demo 1
set -eu
url=${RELAY_URL:-http://127.0.0.1:8080}

sh "$(dirname "$0")/envelope.sh" "{\"sessionId\":\"$1\",\"fromSeq\":\"${2:-0}\"}" |
  curl -sSN -o - \
    -H 'Content-Type: application/connect+json' -H "Authorization: Bearer $TOKEN" \
    --data-binary @- "$url/codereview.v1.CodeReviewService/ReadLog"
