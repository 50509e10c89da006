// Clients that say exactly the bytes that a test wants.
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { endStreamFlag, endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, grpcStatusOk } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { batonErrorFrom } from "../../src/relay/wire/errors.ts";
import { splitFrames } from "./frames.ts";

export { type RawFrame, splitFrames } from "./frames.ts";

export const sessionPath = "/codereview.v1.CodeReviewService/CollaborativeSession";

/** What a body of gRPC-Web text says, padding in its middle and all. */
export function readText(text: string): Uint8Array<ArrayBuffer> {
  if (text.length % 4 !== 0) throw new Error("the body is cut within four characters");
  const quads = text.match(/.{4}/g) ?? [];
  return new Uint8Array(Buffer.concat(quads.map((quad) => Buffer.from(quad, "base64"))));
}

/** The error in a stream's last frame; undefined: it ended OK. Throws where there is no end. */
export function endOf(bytes: Uint8Array): ConnectError | undefined {
  const last = splitFrames(bytes).at(-1);
  if (last?.flags === endStreamFlag) return endStreamFromJson(last.data).error;
  if (last?.flags === trailerFlag) {
    const trailer = trailerParse(last.data);
    const error = findTrailerError(trailer);
    if (error !== undefined || trailer.get("grpc-status") === grpcStatusOk) return error;
  }
  throw new Error("the stream has no end");
}

/** Code and reason of an error, as a client finds them. */
export function namesOf(error: unknown): { code: string; reason: string | undefined } {
  if (!(error instanceof ConnectError)) throw new Error("not a ConnectError", { cause: error });
  return { code: Code[error.code], reason: batonErrorFrom(error)?.reason };
}

/** One call whose whole body is there at once. */
export async function callOnce(
  url: string,
  body: Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Uint8Array> {
  const response = await fetch(url + sessionPath, {
    method: "POST",
    headers: { "content-type": "application/connect+proto", ...headers },
    body,
  });
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * For `fetch`: a body that begins with these bytes and stays open while the answer comes. On Node this has to be asked
 * for by `duplex`, which the DOM's types do not know.
 */
export const openBody = (first: Uint8Array) => ({
  body: new ReadableStream({ start: (controller) => controller.enqueue(first) }),
  duplex: "half",
});

/** The whole answer to a call of which not even the first message comes. */
export async function answerToNothing(url: string, path: string, headers: Record<string, string>): Promise<string> {
  const { stream, connection, collect, received } = openH2(url, { ":path": path, ...headers });
  collect();
  await once(stream, "end");
  connection.destroy();
  return new TextDecoder().decode(received());
}

/** One HTTP/2 stream on a connection of its own. It reads nothing before `collect`. */
export function openH2(url: string, headers: Record<string, string> = {}) {
  const connection = http2.connect(url);
  connection.on("error", () => undefined);
  const stream = connection.request(
    { ":method": "POST", ":path": sessionPath, "content-type": "application/connect+proto", ...headers },
    { endStream: false },
  );
  stream.on("error", () => undefined);
  const closed = new Promise<number>((resolve) => stream.on("close", () => resolve(stream.rstCode ?? 0)));
  const chunks: Uint8Array[] = [];
  return {
    stream,
    connection,
    /** Resolves with the code of the reset when the stream is closed. */
    closed,
    collect() {
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    },
    received: () => new Uint8Array(Buffer.concat(chunks)),
  };
}

/** An HTTP/1.1 request whose body stays open. */
export function openH1(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(
    `POST ${sessionPath} HTTP/1.1\r\nhost: test\r\ncontent-type: application/connect+proto\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  return {
    socket,
    send(bytes: Uint8Array) {
      socket.write(`${bytes.length.toString(16)}\r\n`);
      socket.write(bytes);
      socket.write("\r\n");
    },
  };
}
