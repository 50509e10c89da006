import { encodeMessage } from "../../src/cli/bench/calls.ts";

/** Of a frame of the relay beyond what a client sent: session, user, client, seq and time. Seen on the wire. */
const relayAdds = 45;

/** Bytes of the frame in which the relay's subscribers get a message with so much data; its peers' have as many. */
export function frameBytesOf(dataBytes: number): number {
  return encodeMessage({ case: "custom", value: { type: "b", data: new Uint8Array(dataBytes) } }).length + relayAdds;
}
