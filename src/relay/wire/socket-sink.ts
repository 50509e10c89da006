import type { BodySink } from "./body.ts";
import { envelopeBytes } from "./envelope.ts";
import type { ServerSocket } from "./socket.ts";

/** A write is one binary message, whatever frames it holds; in JSON each frame's message is a text of its own. */
export function socketSink(socket: ServerSocket, form: "binary" | "json"): BodySink {
  return form === "binary"
    ? { write: (frames) => socket.send([frames], "binary") }
    : { write: (frames) => socket.send(messagesIn(frames), "text") };
}

/** Without their envelopes. */
function messagesIn(frames: Uint8Array): Uint8Array[] {
  const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < frames.length; ) {
    const from = at + envelopeBytes;
    at = from + view.getUint32(at + 1);
    messages.push(frames.subarray(from, at));
  }
  return messages;
}
