import { compressedFlag, type UniversalServerRequest } from "@connectrpc/connect/protocol";
import { BatonError } from "../../session/reasons.ts";
import { envelopeBytes } from "./envelope.ts";
import { connectErrorFrom } from "./errors.ts";

/** A request whose body is passed on in small chunks, as long as no envelope in it has a flag that nobody knows. */
export function withKnownFlags(request: UniversalServerRequest): UniversalServerRequest {
  const { body, header } = request;
  const isEnveloped = /^application\/(?:grpc|connect\+)/i.test(header.get("content-type") ?? "");
  if (!isEnveloped || typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return request;
  return { ...request, body: assertKnownFlags(body) };
}

/** connect-es (2.2.0) cuts a whole chunk into messages at once, and Bun hands on some MB as one: a million empty ones. */
const maxChunkBytes = 16 * 1024;

/** connect-es looks at the compressed flag alone. Throws `MALFORMED` as the kind of error that it passes on. */
async function* assertKnownFlags(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let headBytes = 0;
  let length = 0;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; ) {
      if (headBytes < envelopeBytes) {
        const byte = chunk[at] ?? 0;
        if (headBytes === 0 && (byte & ~compressedFlag) !== 0) {
          throw connectErrorFrom(new BatonError("MALFORMED", "a message has flags that this relay does not know"));
        }
        length = headBytes === 0 ? 0 : length * 256 + byte;
        headBytes += 1;
        at += 1;
      } else {
        const taken = Math.min(length, chunk.length - at);
        at += taken;
        length -= taken;
      }
      if (headBytes === envelopeBytes && length === 0) headBytes = 0;
    }
    for (let at = 0; at < chunk.length; at += maxChunkBytes) yield chunk.subarray(at, at + maxChunkBytes);
  }
}
