#!/bin/sh
# Watches a session: what was said in it, then what comes, until Ctrl-C. Five bytes stand before each JSON text.
#   TOKEN=... subscribe.sh demo
set -eu
url=${RELAY_URL:-http://127.0.0.1:8080}

# By a pipe (or from a file): no argument can hold the NUL bytes of an envelope.
sh "$(dirname "$0")/envelope.sh" "{\"sessionId\":\"$1\",\"join\":{\"history\":\"FULL\"}}" |
  curl -sSN -o - \
    -H 'Content-Type: application/connect+json' -H "Authorization: Bearer $TOKEN" \
    --data-binary @- "$url/codereview.v1.CodeReviewService/Subscribe"
