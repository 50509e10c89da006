import type { Readable, Writable } from "node:stream";
import type { BodyEnd, BodySink, BodySource } from "../relay/wire/body.ts";

/**
 * A request's body as a web stream, at most one chunk ahead of its reader: the peer's window, or its socket, fills while
 * nobody reads.
 */
export function readBody(incoming: Readable): ReadableStream<Uint8Array> {
  /** A quiet stream holds nothing of a body that is over, and nothing that comes later touches it. */
  let letGo = () => {};
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const take = (chunk: Uint8Array) => {
        controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      };
      const end = () => {
        letGo();
        controller.close();
      };
      const breakOff = () => {
        letGo();
        controller.error(new Error("the body broke off"));
      };
      letGo = () => {
        incoming
          .off("data", take)
          .off("end", end)
          .off("aborted", breakOff)
          .off("error", breakOff)
          .off("close", breakOff);
      };
      incoming.on("data", take).on("end", end).on("aborted", breakOff).on("error", breakOff).on("close", breakOff);
    },
    pull() {
      incoming.resume();
    },
    cancel() {
      letGo();
      // What still comes is thrown away, since the answer may go on.
      incoming.resume();
    },
  });
}

/** A response's body. `begin` sends the headers; it is called once, before the first bytes. */
export function createSink(outgoing: Writable, begin: () => void): BodySink {
  let behind: Promise<void> | undefined;
  let hasBegun = false;
  return {
    write(bytes) {
      if (outgoing.destroyed || outgoing.writableEnded) throw new Error("the peer is gone");
      if (!hasBegun) begin();
      hasBegun = true;
      // Once half of what waits is off, a stream says again that there is room, but the peer is still behind.
      if (outgoing.write(bytes) && behind === undefined) return undefined;
      behind ??= new Promise((resolve) => {
        const settle = () => {
          outgoing.off("drain", settle).off("close", settle);
          behind = undefined;
          resolve();
        };
        outgoing.on("drain", settle).on("close", settle);
      });
      return behind;
    },
  };
}

/** The body of a response that was made without `openBody`. */
export function sourceFrom(body: ReadableStream<Uint8Array> | null): BodySource {
  const reader = body?.getReader();
  return {
    async run(sink): Promise<BodyEnd> {
      try {
        for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
          await sink.write(next.value);
        }
        return "complete";
      } catch {
        return "reset";
      }
    },
    gone() {
      reader?.cancel().catch(() => undefined);
    },
  };
}
