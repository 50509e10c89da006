#!/bin/sh
# Says something in a session, once, however often curl has to try.
#   TOKEN=... publish.sh demo 'hello'
set -eu
url=${RELAY_URL:-http://127.0.0.1:8080}
session=$1
data=$(printf %s "$2" | base64 | tr -d '\n')

# The relay knows a message by its client and that one's number: sent again, it is answered with the place that it has.
client="curl-$(date +%s)-$$"
curl -sS --fail-with-body --retry 3 \
  -H 'Content-Type: application/json' -H "Authorization: Bearer $TOKEN" \
  --data "{\"sessionId\":\"$session\",\"clientId\":\"$client\",
    \"messages\":[{\"clientSeq\":\"1\",\"custom\":{\"type\":\"chat\",\"data\":\"$data\"}}]}" \
  "$url/codereview.v1.CodeReviewService/Publish"
echo
