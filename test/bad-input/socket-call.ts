// A call of `CollaborativeSession` over a WebSocket, told as the other ways tell theirs.
import { Code, ConnectError } from "@connectrpc/connect";
import { endStreamFlag, endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { FaultSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { opcodes, RawSocket } from "../support/raw-socket.ts";
import { type SocketForm, subprotocolOf } from "../support/socket-transport.ts";
import { splitFrames } from "../wire/frames.ts";

export interface SocketCall {
  readonly token: string | undefined;
  /** Enveloped messages; what is no whole envelope of flag 0 goes as it is. */
  readonly body: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** Says all, each message by itself, closes its half, and hears the answer out. */
export async function callBySocket(url: string, form: SocketForm, { token, body, headers }: SocketCall) {
  const bearer = token === undefined ? [] : [`bearer.${token}`];
  const socket = await RawSocket.open(url, {
    subprotocols: [subprotocolOf[form], ...bearer].join(", "),
    headers,
  });
  const opcode = form === "binary" ? opcodes.binary : opcodes.text;
  for (const piece of piecesOf(body)) {
    const isWhole = form === "json" && piece[0] === 0 && piece.length > 4;
    socket.send(isWhole ? piece.subarray(5) : piece, { opcode });
  }
  socket.send(new Uint8Array(), { opcode });
  const received: (Uint8Array | string)[] = [];
  for (let next = await socket.next(); next !== undefined; next = await socket.next()) received.push(next);
  const { code, reason } = await socket.closed;
  const frames = received.flatMap((message) =>
    message instanceof Uint8Array ? splitFrames(message) : asFrame(message),
  );
  const end = frames.find(({ flags }) => flags === endStreamFlag);
  const decoder = new TextDecoder();
  return {
    status: socket.handshake.status,
    headers: socket.handshake.headers,
    text: [...frames.map(({ data }) => decoder.decode(data)), reason].join("\n"),
    bytes: frames.reduce((sum, { data }) => sum + data.length, 0),
    messages: frames.filter(({ flags }) => flags === 0).map(({ data }) => data),
    error: end === undefined ? errorOf(code, reason) : endStreamFromJson(end.data).error,
  };
}

function* piecesOf(body: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = 0; at < body.length; ) {
    const length = body.length - at < 5 ? 0 : 5 + view.getUint32(at + 1);
    const isWhole = length > 0 && length <= body.length - at && body[at] === 0;
    const to = isWhole ? at + length : body.length;
    yield body.subarray(at, to);
    at = to;
  }
}

/** An error's text has this one field, which no message has. */
function asFrame(text: string): { readonly flags: number; readonly data: Uint8Array } {
  return { flags: text.startsWith('{"error":') ? endStreamFlag : 0, data: new TextEncoder().encode(text) };
}

/** Of a close that no last message told of: the runtime's own, or the connection's. */
function errorOf(code: number, reason: string): ConnectError | undefined {
  if (code === 1000) return undefined;
  const closedBy: Readonly<Record<number, string>> = { 1007: "MALFORMED", 1009: "MESSAGE_TOO_LARGE" };
  const details = { desc: FaultSchema, value: { reason: closedBy[code] ?? `closed ${code} ${reason}` } };
  return new ConnectError(reason, Code.Unknown, undefined, [details]);
}
