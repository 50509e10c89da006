import { ConnectError } from "@connectrpc/connect";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";

export interface WatchedRequest {
  readonly request: UniversalServerRequest;
  /** Whether its body broke off: its peer is gone. */
  readonly brokeOff: () => boolean;
}

/**
 * A request that tells whether its peer went before it was whole. connect-es takes that for an internal error, which it is
 * not: anybody may go, and the operator's log is not theirs to fill.
 */
export function watchDeparture(request: UniversalServerRequest): WatchedRequest {
  const { body } = request;
  let isBroken = false;
  const brokeOff = () => isBroken;
  if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return { request, brokeOff };
  async function* watched(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* pieces;
    } catch (error) {
      // What is wrong with the bytes themselves comes as one of connect-es's.
      isBroken = !(error instanceof ConnectError);
      throw error;
    }
  }
  return { request: { ...request, body: watched(body) }, brokeOff };
}
