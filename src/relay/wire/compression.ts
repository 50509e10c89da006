import { BatonError } from "../../session/reasons.ts";

/** Makes a message of what was compressed. Rejects with `MESSAGE_TOO_LARGE` or `MALFORMED`. */
export type Decompress = (compressed: Uint8Array, maxMessageBytes: number) => Promise<Uint8Array<ArrayBuffer>>;

/** The encodings that messages may come in, as headers tell them. */
export const acceptedEncodings = "gzip, identity";

/** Of an encoding header's value; undefined: messages come as they are. Throws `PROTOCOL_UNSUPPORTED`. */
export function parseEncoding(name: string | null): Decompress | undefined {
  switch (name) {
    case null:
    case "":
    case "identity":
      return undefined;
    case "gzip":
      return gunzip;
    default:
      throw new BatonError("PROTOCOL_UNSUPPORTED", `unknown compression; supported encodings: ${acceptedEncodings}`);
  }
}

/** Deflate makes at most 1,032 bytes of one: some 1 MiB of this. */
const sliceBytes = 1024;

/**
 * Stops as soon as the message is larger than allowed, however large it would become. What the stream holds by then is
 * one piece more: of 64 KiB at most on Bun (1.4.5), 16 KiB on Node (26), and all that comes of one slice on Deno (2.9.6). Nothing may stand behind the compressed data,
 * except that Bun takes several gzip members for one, as RFC 1952 has them, where the Compression standard and Node do not.
 */
export async function gunzip(compressed: Uint8Array, maxMessageBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const { readable, writable } = new DecompressionStream("gzip");
  // What goes wrong here goes wrong for the reader too, who tells it.
  feed(writable.getWriter(), compressed).catch(() => undefined);
  const reader = readable.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const part = await read(reader);
    if (part === undefined) break;
    length += part.length;
    if (length > maxMessageBytes) {
      reader.cancel().catch(() => undefined);
      throw new BatonError(
        "MESSAGE_TOO_LARGE",
        `a message is larger than ${maxMessageBytes} bytes after decompression`,
      );
    }
    parts.push(part);
  }
  const message = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}

/** A slice when the one before it was taken up; copies, since the buffer may be one that is shared. */
async function feed(writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    await writer.write(new Uint8Array(bytes.subarray(at, at + sliceBytes)));
  }
  await writer.close();
}

/** The stream's own error says nothing that helps, and differs by runtime. */
async function read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    const { done, value } = await reader.read();
    return done ? undefined : value;
  } catch {
    throw new BatonError("MALFORMED", "decompression failed");
  }
}
