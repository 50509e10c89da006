import type { BodySink, BodySource } from "../relay/wire/body.ts";

/**
 * A response body over Bun's direct stream: `write` hands the bytes to the socket without a queue between, and returns a
 * promise while the peer's window or socket is full. Measured on Bun 1.4.5: nothing leaves before `flush`; the headers go
 * with the first bytes; the body ends when `pull` resolves, and what was written by then is still delivered.
 */
export function openBunBody(source: BodySource): ReadableStream<Uint8Array> {
  const direct: Bun.DirectUnderlyingSource<Uint8Array> = {
    type: "direct",
    async pull(controller) {
      if ((await source.run(sinkOver(controller))) === "reset") {
        // Resets an HTTP/2 stream, cuts an HTTP/1.1 connection. An Error in its place would be printed with its stack.
        return Promise.reject();
      }
    },
    cancel() {
      source.gone();
    },
  };
  // Where the DOM's types are loaded too, `new ReadableStream` does not know this kind of source.
  return Reflect.construct(ReadableStream, [direct]);
}

function sinkOver(controller: ReadableStreamDirectController): BodySink {
  return {
    write(bytes) {
      const taken = controller.write(bytes);
      const flushed = controller.flush();
      if (typeof taken !== "number") return taken;
      if (taken === 0) throw new Error("the peer is gone");
      return typeof flushed === "number" ? undefined : flushed;
    },
  };
}
