import net from "node:net";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";

/** A participant over HTTP/1.1 and JSON, on a connection of its own, which reads nothing until it is told to. */
export class StoppedReader {
  readonly socket: net.Socket;
  readonly #chunks: Buffer[] = [];
  #watch: () => void = () => undefined;

  private constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = net.connect(Number(port), hostname);
    this.socket.on("error", () => undefined);
    this.socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#watch();
    });
  }

  /** Joins, reads up to a message of this kind, and then reads no more. */
  static async join(url: string, token: string, join: SessionMessage, until: string): Promise<StoppedReader> {
    const reader = new StoppedReader(url);
    const { promise: joined, resolve } = Promise.withResolvers<void>();
    reader.#watch = () => {
      if (reader.messages().some(({ payload }) => payload.case === until)) resolve();
    };
    const head = [
      "POST /codereview.v1.CodeReviewService/CollaborativeSession HTTP/1.1",
      "host: test",
      "content-type: application/connect+json",
      `authorization: Bearer ${token}`,
      "transfer-encoding: chunked",
    ];
    reader.socket.write(`${head.join("\r\n")}\r\n\r\n`);
    reader.send(join);
    await joined;
    reader.#watch = () => undefined;
    reader.socket.pause();
    return reader;
  }

  send(message: SessionMessage): void {
    const body = toJsonString(SessionMessageSchema, message);
    const frame = Buffer.alloc(5 + Buffer.byteLength(body));
    frame.writeUInt32BE(frame.length - 5, 1);
    frame.write(body, 5);
    this.socket.write(`${frame.length.toString(16)}\r\n`);
    this.socket.write(frame);
    this.socket.write("\r\n");
  }

  /** What has come, as it came. */
  text(): string {
    return Buffer.concat(this.#chunks).toString("latin1");
  }

  /** What has come so far, whole, but for the end of the stream. */
  messages(): SessionMessage[] {
    const envelopes = createEnvelopeReader(1 << 30);
    envelopes.push(bodyOf(Buffer.concat(this.#chunks)));
    const messages: SessionMessage[] = [];
    const decoder = new TextDecoder();
    try {
      for (let data = envelopes.take(); data !== undefined; data = envelopes.take()) {
        messages.push(fromJsonString(SessionMessageSchema, decoder.decode(data)));
      }
    } catch {
      // Its end has another flag, and is no message.
    }
    return messages;
  }
}

/** The body of an HTTP/1.1 response in chunks. */
function bodyOf(response: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = response.indexOf("\r\n\r\n") + 4; at < response.length && at > 3; ) {
    const line = response.indexOf("\r\n", at);
    if (line === -1) break;
    const length = Number.parseInt(response.subarray(at, line).toString("latin1"), 16);
    pieces.push(response.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
  return Buffer.concat(pieces);
}
