#!/bin/sh
# Watches a session: what was said in it, then what comes, until Ctrl-C. Five bytes stand before each JSON text.
#   TOKEN=... subscribe.sh demo
set -eu
url=${BATON_URL:-http://127.0.0.1:8080}
here=$(dirname "$0")
# A body with NUL bytes comes from a file: no argument can hold one.
request=$(mktemp)
trap 'rm -f "$request"' EXIT
sh "$here/envelope.sh" "{\"sessionId\":\"$1\",\"join\":{\"history\":\"FULL\"}}" >"$request"
curl -sSN -o - \
  -H 'Content-Type: application/connect+json' -H "Authorization: Bearer $TOKEN" \
  --data-binary "@$request" "$url/codereview.v1.CodeReviewService/Subscribe"
