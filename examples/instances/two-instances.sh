#!/bin/sh
# Two relays on one Redis: what is said to the one is in the other's log. Arguments: session, text.
set -eu
cd "$(dirname "$0")/../.."
export BATON_LOG=redis REDIS_URL="${REDIS_URL:-redis://127.0.0.1:6379}"
first="${FIRST_PORT:-9001}"
second="${SECOND_PORT:-9002}"

node bin/baton.mjs start --port "$first" --grpc-port off >&2 & one=$!
BATON_RUNTIME=node node bin/baton.mjs start --port "$second" --grpc-port off >&2 & two=$!
trap 'kill $one $two; wait' EXIT
for port in "$first" "$second"; do
  curl -sS -o /dev/null --fail --retry 100 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$port/readyz"
done

printf '{"custom":{"type":"chat","text":"%s"}}\n' "$2" |
  node bin/baton.mjs join "$1" --sub alice --url "http://127.0.0.1:$first" >&2
node bin/baton.mjs log "$1" --sub bob --url "http://127.0.0.1:$second"
