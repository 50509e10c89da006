// The calls of the contract, as bytes for the bare client.
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { signDevelopmentToken } from "../../auth/sign.ts";
import {
  type JoinSchema,
  type SessionMessage,
  SessionMessageSchema,
  SubscribeRequestSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { envelop } from "../../relay/wire/envelope.ts";
import type { BareConnection } from "./bare-connection.ts";
import type { BareStream, Tally } from "./bare-stream.ts";

/** Of servers on loopback that live as long as one measurement. */
export const secret = new TextEncoder().encode("a secret of the bench, thirty-two bytes long");
export const sessionId = "bench";
/** Where one session is not enough. */
export const sessionOf = (index: number): string => `${sessionId}/${index}`;

export type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;
type JoinFields = MessageInitShape<typeof JoinSchema>;

const service = "/codereview.v1.CodeReviewService";
export const subscribePath = `${service}/Subscribe`;
export const collaboratePath = `${service}/CollaborativeSession`;

export function readToken(sub = "reader"): Promise<string> {
  return tokenOf(sub, "session:read");
}

export function writeToken(sub: string): Promise<string> {
  return tokenOf(sub, "session:edit session:comment session:custom");
}

function tokenOf(sub: string, scope: string): Promise<string> {
  return signDevelopmentToken(
    secret,
    { sub, sessions: [sessionId, `${sessionId}/*`], scope, ttlSeconds: 3600 },
    Date.now(),
  );
}

export interface CallOptions {
  readonly token: string;
  readonly tally: Tally;
  /** Default: Connect's. */
  readonly contentType?: string;
  readonly join?: JoinFields;
  /** Default: `sessionId`. */
  readonly session?: string | undefined;
  readonly onMessage?: (bytes: Uint8Array) => void;
  readonly onEnd?: (text: string) => void;
}

/** Opens `Subscribe`. */
export function subscribe(connection: BareConnection, { join = {}, ...options }: CallOptions): BareStream {
  const stream = connection.stream({ ...options, path: subscribePath });
  stream.finish(encodeSubscribe(join));
  return stream;
}

export function encodeSubscribe(join: JoinFields = {}): Uint8Array {
  return envelop(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, { sessionId, join })));
}

/** Opens `CollaborativeSession`, and joins. */
export function collaborate(connection: BareConnection, { join = {}, session, ...options }: CallOptions): BareStream {
  const stream = connection.stream({ ...options, path: collaboratePath });
  stream.send(encodeMessage({ case: "join", value: join }, 0, session));
  return stream;
}

/** A message as a client sends it. `clientSeq` 0: it is not logged. `session`: of a Join. */
export function encodeMessage(payload: Payload, clientSeq = 0, session = sessionId): Uint8Array {
  const message = create(SessionMessageSchema, {
    payload,
    clientSeq: BigInt(clientSeq),
    ...(payload.case === "join" ? { sessionId: session } : {}),
  });
  return envelop(toBinary(SessionMessageSchema, message));
}

export function decodeMessage(bytes: Uint8Array): SessionMessage {
  return fromBinary(SessionMessageSchema, bytes);
}

/** Rejects when `met` is not true within the time. */
export async function until(met: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!met()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(1);
  }
}
