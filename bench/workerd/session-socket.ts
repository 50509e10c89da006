import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { collaboratePath } from "../../src/cli/bench/calls.ts";
import {
  Join_History as History,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame, envelopeBytes } from "../../src/relay/wire/envelope.ts";

export const benchSecret = "a secret of the bench, thirty-two bytes long";

interface SocketOptions {
  readonly url: string;
  readonly session: string;
  readonly sub: string;
  readonly scope: string;
  /** Larger messages are counted, and not decoded: those of others, where only the own answers are wanted. */
  readonly decodedBytes?: number;
}

type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;

/** Somebody in a session, over a WebSocket, from now on. */
export class SessionSocket {
  /** Called with each message that is decoded, and is not the stream's own affair. */
  heard: (message: SessionMessage) => void = () => undefined;
  /** Messages that came, decoded or not. */
  messages = 0;
  ended: string | undefined;
  readonly #socket: WebSocket;
  readonly #decodedBytes: number;
  #isIn = false;

  private constructor(socket: WebSocket, decodedBytes: number) {
    this.#socket = socket;
    this.#decodedBytes = decodedBytes;
  }

  /** Resolves with its Welcome. */
  static async join({ url, session, sub, scope, decodedBytes = Number.POSITIVE_INFINITY }: SocketOptions) {
    const secret = new TextEncoder().encode(benchSecret);
    const token = await signDevelopmentToken(secret, { sub, sessions: [session], scope, ttlSeconds: 3600 }, Date.now());
    const socket = new WebSocket(`${url.replace("http", "ws")}${collaboratePath}`, ["baton.v1", `bearer.${token}`]);
    socket.binaryType = "arraybuffer";
    const joined = new SessionSocket(socket, decodedBytes);
    await new Promise<void>((resolve, reject) => {
      socket.onclose = ({ code, reason }) => {
        joined.ended = `${code} ${reason}`;
        reject(new Error(`${sub}: ${joined.ended}`));
      };
      socket.onopen = () => {
        const value = { history: History.LIVE };
        joined.#send({ sessionId: session, payload: { case: "join", value } });
      };
      socket.onmessage = ({ data }) => joined.#take(new Uint8Array(data), resolve);
    });
    return joined;
  }

  say(payload: Payload, clientSeq: number): void {
    this.#send({ payload, clientSeq: BigInt(clientSeq) });
  }

  close(): void {
    this.#socket.close();
  }

  #send(message: MessageInitShape<typeof SessionMessageSchema>): void {
    this.#socket.send(encodeFrame(SessionMessageSchema, create(SessionMessageSchema, message), "binary").slice());
  }

  #take(bytes: Uint8Array, welcomed: () => void): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; ) {
      const length = view.getUint32(at + 1);
      const body = bytes.subarray(at + envelopeBytes, at + envelopeBytes + length);
      const isMessage = bytes[at] === 0;
      at += envelopeBytes + length;
      if (!isMessage) continue;
      this.messages += 1;
      if (this.#isIn && length > this.#decodedBytes) continue;
      const message = fromBinary(SessionMessageSchema, body);
      const { payload } = message;
      if (payload.case === "welcome") {
        this.#isIn = true;
        welcomed();
      } else if (payload.case === "heartbeat") {
        const { sentAt, echo } = payload.value;
        if (echo === 0n && sentAt !== 0n) this.#send({ payload: { case: "heartbeat", value: { echo: sentAt } } });
      } else this.heard(message);
    }
  }
}
