import type { DescMessage } from "@bufbuild/protobuf";
import { endExpiredReadings, endRevoked } from "../end-streams.ts";
import type { Relay } from "../relay.ts";
import type { StreamHandler } from "../stream.ts";

/** A client may be told of a revocation five seconds late, of which the feed takes two. */
const tickMs = 1_000;

/**
 * A call that reads a session's log or state, at a gateway. It has a relay of its own, since a call may wait for no other's
 * I/O; and it looks itself whether its token is still good, since nothing else happens by time.
 */
export function readAtGateway<I extends DescMessage>(
  openRelay: () => Relay,
  serve: (relay: Relay) => StreamHandler<I>,
): StreamHandler<I> {
  return async (call) => {
    const relay = openRelay();
    const timer = setInterval(() => void lookAgain(relay), tickMs);
    try {
      await serve(relay)(call);
    } finally {
      clearInterval(timer);
    }
  };
}

async function lookAgain(relay: Relay): Promise<void> {
  const { revocations, now } = relay;
  endExpiredReadings(relay, now());
  if (revocations.isDue(now())) await revocations.poll(now());
  endRevoked(relay);
}
