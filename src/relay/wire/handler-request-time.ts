import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { BatonError } from "../../session/reasons.ts";
import { connectErrorFrom } from "./errors.ts";

/**
 * A request of one message whose body ends in time, or ends the call. Until it has, what came of it is held, and nobody
 * has asked who sends it.
 */
export function withBodyInTime(request: UniversalServerRequest, timeoutMs: number): UniversalServerRequest {
  const { body } = request;
  if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return request;
  return { ...request, body: assertEndsWithin(body, timeoutMs) };
}

/** Throws `FIRST_MESSAGE_TIMEOUT` as the kind of error that connect-es passes on. */
async function* assertEndsWithin(body: AsyncIterable<Uint8Array>, timeoutMs: number): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const error = new BatonError("FIRST_MESSAGE_TIMEOUT", `the request did not come whole within ${timeoutMs} ms`);
  const timer = setTimeout(() => reject(connectErrorFrom(error)), timeoutMs);
  // Where the body ends in time, nobody waits for it any more.
  late.catch(() => undefined);
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), late]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    iterator.return?.().catch(() => undefined);
  }
}
