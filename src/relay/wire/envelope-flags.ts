import { compressedFlag } from "@connectrpc/connect/protocol";
import { BatonError } from "../../session/reasons.ts";
import { envelopeBytes } from "./envelope.ts";
import { connectErrorFrom } from "./errors.ts";

/**
 * A body of enveloped messages, passed on unchanged as long as no envelope has a flag that nobody knows: connect-es (2.2.0)
 * looks at the compressed flag alone. Throws `MALFORMED` in connect-es's own kind of error, through which it comes whole.
 */
export async function* assertKnownFlags(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
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
    yield chunk;
  }
}
