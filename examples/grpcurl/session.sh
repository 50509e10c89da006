#!/bin/sh
# Looks at a relay and takes part in a session, by grpcurl and what the relay says of itself. No .proto is needed.
#   TOKEN=... session.sh demo hello
set -eu
address=${RELAY_GRPC:-127.0.0.1:8081}
session=$1
data=$(printf %s "$2" | base64 | tr -d '\n')

grpcurl -plaintext "$address" list
grpcurl -plaintext "$address" describe codereview.v1.CodeReviewService
grpcurl -plaintext "$address" grpc.health.v1.Health/Check

client="grpcurl-$(date +%s)-$$"
grpcurl -plaintext -H "authorization: Bearer $TOKEN" \
  -d "{\"session_id\":\"$session\",\"client_id\":\"$client\",
    \"messages\":[{\"client_seq\":1,\"custom\":{\"type\":\"chat\",\"data\":\"$data\"}}]}" \
  "$address" codereview.v1.CodeReviewService/Publish
grpcurl -plaintext -H "authorization: Bearer $TOKEN" \
  -d "{\"session_id\":\"$session\"}" "$address" codereview.v1.CodeReviewService/ReadLog
