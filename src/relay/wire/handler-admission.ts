import { Code, ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import { BatonError } from "../../session/reasons.ts";
import { admitError, connectErrorFrom } from "./errors.ts";

export type ReportError = (streamId: string, error: unknown) => void;

export const streamIdKey = createContextKey("", { description: "streamId" });

/**
 * An implementation's errors, through the one door. When the call is over, by its deadline or because its peer is gone,
 * nobody waits for the implementation any more, even if it does not look at its signal.
 */
export const admitErrors =
  (report: ReportError): Interceptor =>
  (next) =>
  async (request) => {
    const { signal, contextValues } = request;

    async function admit<T>(work: Promise<T>): Promise<T> {
      const { promise: over, reject } = Promise.withResolvers<never>();
      const expire = () => reject(signal.reason);
      if (signal.aborted) expire();
      signal.addEventListener("abort", expire, { once: true });
      try {
        return await Promise.race([work, over]);
      } catch (error) {
        const streamId = contextValues.get(streamIdKey);
        const isDeadline = error instanceof ConnectError && error.code === Code.DeadlineExceeded;
        const known = isDeadline ? new BatonError("DEADLINE") : admitError(error, streamId);
        if (known.reason === "INTERNAL" && !signal.aborted) report(streamId, error);
        throw connectErrorFrom(known);
      } finally {
        signal.removeEventListener("abort", expire);
      }
    }

    const response = await admit(next(request));
    return response.stream ? { ...response, message: admitEach(response.message, admit) } : response;
  };

/** No generator: what is thrown into one would wait behind the message that it waits for. */
function admitEach<T>(messages: AsyncIterable<T>, admit: <V>(work: Promise<V>) => Promise<V>): AsyncIterable<T> {
  const iterator = messages[Symbol.asyncIterator]();
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => admit(iterator.next()),
      async return() {
        iterator.return?.().catch(() => undefined);
        return { done: true, value: undefined };
      },
    }),
  };
}
