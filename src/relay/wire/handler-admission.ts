import { Code, ConnectError, createContextKey, type Interceptor } from "@connectrpc/connect";
import { BatonError } from "../../session/reasons.ts";
import { admitError, batonErrorFrom, connectErrorFrom, type ReportError } from "./errors.ts";
import { requestErrorFrom } from "./request-errors.ts";

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
    const streamId = contextValues.get(streamIdKey);

    async function admit<T>(work: Promise<T>): Promise<T> {
      const { promise: over, reject } = Promise.withResolvers<never>();
      const expire = () => reject(signal.reason);
      if (signal.aborted) expire();
      signal.addEventListener("abort", expire, { once: true });
      try {
        return await Promise.race([work, over]);
      } catch (error) {
        const isDeadline = error instanceof ConnectError && error.code === Code.DeadlineExceeded;
        const known = isDeadline ? new BatonError("DEADLINE") : admitError(error, streamId);
        if (!isDeadline && known !== error && !signal.aborted) report(streamId, error);
        throw connectErrorFrom(known);
      } finally {
        signal.removeEventListener("abort", expire);
      }
    }

    /** What connect-es cannot read of a stream's request comes out of its implementation, where it would be INTERNAL. */
    async function nameReadError<T>(reading: Promise<T>): Promise<T> {
      try {
        return await reading;
      } catch (error) {
        const known = ConnectError.from(error);
        throw batonErrorFrom(known) ?? requestErrorFrom(known, streamId);
      }
    }

    if (!request.stream) return await admit(next(request));
    const response = await admit(next({ ...request, message: mapReads(request.message, nameReadError) }));
    return response.stream ? { ...response, message: mapReads(response.message, admit) } : response;
  };

/** No generator: what is thrown into one would wait behind the message that it waits for. */
function mapReads<T>(messages: AsyncIterable<T>, map: <V>(reading: Promise<V>) => Promise<V>): AsyncIterable<T> {
  const iterator = messages[Symbol.asyncIterator]();
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => map(iterator.next()),
      async return() {
        iterator.return?.().catch(() => undefined);
        return { done: true, value: undefined };
      },
    }),
  };
}
