import { writeDataFile } from "./data-folder.ts";

/** The session that a newcomer is shown. */
export const helloSession = "demo";

/**
 * The body of a first `Subscribe`, as a file: a Connect stream's message stands in an envelope (a byte of flags, four of
 * length), which has NUL bytes, and no shell passes those on in an argument.
 */
export function writeHelloRequest(dataDir: string): Promise<string> {
  const message = new TextEncoder().encode(JSON.stringify({ sessionId: helloSession }));
  const envelope = new Uint8Array(5 + message.byteLength);
  new DataView(envelope.buffer).setUint32(1, message.byteLength);
  envelope.set(message, 5);
  return writeDataFile(dataDir, "hello.request", envelope);
}
