// A client that says all it has to say at once, by whichever way and carriage, and what it is answered.
import { fromBinary, fromJsonString, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Join,
  PublishRequestSchema,
  PublishResponseSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Payload } from "../relay/harness.ts";
import { type Answer, bodyOf, call, decode, type Entrances, encode, type Way } from "./ways.ts";

export interface Said {
  readonly clientSeq?: bigint;
  readonly sessionId?: string;
  readonly payload?: Payload;
}

export interface Conversation {
  readonly session: string;
  readonly token: string;
  readonly clientId?: string;
  readonly join?: Partial<Pick<Join, "resumeToken" | "lastSeq" | "protocol">>;
  /** Messages, or the very bytes of one. */
  readonly say: readonly (Said | Uint8Array)[];
}

export interface Heard extends Answer {
  readonly said: readonly SessionMessage[];
}

/** One stream both ways: a Join, what is said, and the end of the client's half. */
export async function converse(at: Entrances, way: Way, { session, token, clientId, join, say }: Conversation) {
  const first: MessageInitShape<typeof SessionMessageSchema> = {
    sessionId: session,
    payload: { case: "join", value: { clientId: clientId ?? "", ...join } },
  };
  const messages = [first, ...say].map((one) =>
    one instanceof Uint8Array ? one : encode(way, SessionMessageSchema, one),
  );
  const body = bodyOf(way, "collaborativeSession", ...messages);
  const answer = await call(at, way, { method: "collaborativeSession", token, body });
  return { ...answer, said: answer.messages.map((data) => decode(way, data)) } satisfies Heard;
}

/** One `Publish`, of a client that has no stream or brings its resume token. */
export async function publish(at: Entrances, way: Way, { session, token, clientId, join, say }: Conversation) {
  const messages = say.filter((one) => !(one instanceof Uint8Array));
  const resumeToken = join?.resumeToken ?? "";
  const request = encode(way, PublishRequestSchema, { sessionId: session, resumeToken, clientId, messages });
  const answer = await call(at, way, { method: "publish", token, body: bodyOf(way, "publish", request) });
  return { ...answer, said: answer.error === undefined ? repliesOf(way, answer) : [] } satisfies Heard;
}

function repliesOf(way: Way, { messages, text }: Answer): SessionMessage[] {
  const [data] = messages;
  if (data === undefined) throw new Error(`no reply: ${text}`);
  return way.form === "binary"
    ? fromBinary(PublishResponseSchema, data).replies
    : fromJsonString(PublishResponseSchema, new TextDecoder().decode(data)).replies;
}

/** Both carriages that take a list of messages. */
export const carriages = { "one stream": converse, Publish: publish } as const;

/** What was answered, in short: `ack 1`, `fault 2 EDIT_OUT_OF_RANGE`. */
export function answersOf({ said }: Heard): string[] {
  return said.flatMap(({ payload }) => {
    if (payload.case === "ack") return [`ack ${payload.value.clientSeq}`];
    if (payload.case === "fault") return [`fault ${payload.value.clientSeq} ${payload.value.reason}`];
    return [];
  });
}

export function welcomeOf({ said }: Heard) {
  for (const { payload } of said) if (payload.case === "welcome") return payload.value;
  throw new Error("no Welcome came");
}
