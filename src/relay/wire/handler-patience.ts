import type { DescMethod } from "@bufbuild/protobuf";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { BatonError } from "../../session/reasons.ts";
import { connectErrorFrom } from "./errors.ts";

/**
 * A request whose body comes in time, or breaks off with `FIRST_MESSAGE_TIMEOUT`: all of it where the method takes one
 * message, its first bytes where it takes several. connect-es itself waits for a body that trickles in for as long as its
 * client likes.
 */
export function withPromptBody(
  request: UniversalServerRequest,
  { methodKind }: DescMethod,
  withinMs: number,
): UniversalServerRequest {
  const { body } = request;
  if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return request;
  const takesOne = methodKind === "unary" || methodKind === "server_streaming";
  return { ...request, body: timed(body, withinMs, takesOne ? "whole" : "first") };
}

/** No generator: what lets it go would wait behind the bytes that it waits for. */
function timed(body: AsyncIterable<Uint8Array>, withinMs: number, part: "whole" | "first"): AsyncIterable<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  const { promise: late, reject } = Promise.withResolvers<never>();
  // Where the body came in time, nobody waits for it.
  late.catch(() => undefined);
  let isInTime = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expire = () => reject(connectErrorFrom(new BatonError("FIRST_MESSAGE_TIMEOUT")));
  async function letGo() {
    clearTimeout(timer);
    iterator.return?.().catch(() => undefined);
    return { done: true, value: undefined } as const;
  }
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        // Not raced for as long as a stream lives: each race would leave something at the promise.
        if (isInTime) return await iterator.next();
        timer ??= setTimeout(expire, withinMs);
        try {
          const result = await Promise.race([iterator.next(), late]);
          isInTime = result.done === true || part === "first";
          if (isInTime) clearTimeout(timer);
          return result;
        } catch (error) {
          void letGo();
          throw error;
        }
      },
      return: letGo,
    }),
  };
}
