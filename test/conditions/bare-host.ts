import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { createObjectLog } from "../../src/durable/object-log.ts";
import type { ObjectStorage } from "../../src/durable/object-storage.ts";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { decodeHop, encodeHop } from "../../src/relay/edge/hop.ts";
import { SessionHost } from "../../src/relay/edge/host.ts";
import type { HostLink } from "../../src/relay/edge/host-platform.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import type { BatonError } from "../../src/session/reasons.ts";
import type { Payload } from "../relay/harness.ts";
import { splitFrames } from "../wire/frames.ts";

export const sessionId = "demo";

/** A session's end of a link, and all that was told over it. */
export class BareLink implements HostLink {
  readonly told: SessionMessage[] = [];
  /** Undefined: it lives, or ended well. */
  ended: BatonError | undefined;
  noted: string | undefined;

  send(message: Uint8Array): void {
    const hop = decodeHop(message);
    if (hop?.kind === "frames") {
      for (const { data } of splitFrames(hop.frames)) this.told.push(fromBinary(SessionMessageSchema, data));
    }
    if (hop?.kind === "end") this.ended = hop.error;
  }

  close(): void {}

  note(value: string): void {
    this.noted = value;
  }

  /** The kinds of what was told of the log. */
  get logged(): readonly string[] {
    return this.told.flatMap(({ payload: { case: kind } }) => (kind === "ack" || kind === "custom" ? [kind] : []));
  }
}

/**
 * An instance of a session's object, without anything that would end it.
 *
 * @param maxBytes that its storage may have; default: as on the platform
 */
export function createHost(storage: ObjectStorage, maxBytes?: number): SessionHost {
  const nothing = async () => undefined;
  const none = async () => 0;
  const secret = new Uint8Array(32);
  const shared = { list: async () => [], secret: async () => secret, revoke: nothing, revocations: async () => [] };
  let shelf: string | undefined;
  return new SessionHost({
    log: createObjectLog({
      sessionId,
      storage,
      directory: { add: nothing, remove: nothing },
      shared,
      now: Date.now,
      ...(maxBytes !== undefined && { maxBytes }),
    }),
    limits: defaultLimits,
    now: Date.now,
    newId: () => crypto.randomUUID(),
    defer: (run) => void setTimeout(run, 0),
    resumeSecret: async () => secret,
    links: () => [],
    readShelf: async () => shelf,
    writeShelf: (text) => {
      shelf = text;
    },
    tree: {
      name: sessionId,
      objects: {
        parent: () => ({ follow: nothing }),
        child: () => ({ deliver: none, disconnect: none, endRevoked: none }),
      },
      read: nothing,
      write: () => undefined,
      forget: () => undefined,
      later: (run, ms) => void setTimeout(run, ms),
      random: () => 0,
    },
    setAlarm: () => undefined,
    stayAwake: () => undefined,
  });
}

/** What a gateway says of somebody who comes. */
export function hello(userId: string): Uint8Array {
  const first = create(SessionMessageSchema, { sessionId, payload: { case: "join", value: { clientId: userId } } });
  const principal = {
    userId,
    scopes: new Set(["session:read", "session:custom"] as const),
    sessions: [sessionId],
    issuedAtMs: Date.now(),
    expiresAtMs: Date.now() + 3_600_000,
    tokenId: undefined,
  };
  const body = base64Encode(toBinary(SessionMessageSchema, first));
  const way = { carriage: "bidi", protocol: "connect", form: "binary" } as const;
  return encodeHop({ kind: "hello", hello: { sessionId, streamId: `${userId}-1`, principal, ...way, first: body } });
}

export function says(payload: Payload, clientSeq: bigint): Uint8Array {
  const message = toBinary(SessionMessageSchema, create(SessionMessageSchema, { clientSeq, payload }));
  return encodeHop({ kind: "message", message });
}
