import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { z } from "zod";
import type { BusMessage, InstanceMessage } from "./session-bus.ts";

/** What one publish carries. */
export interface BusLetter<M> {
  /** The instance that it is from. */
  readonly from: string;
  /** In the order in which they were published. */
  readonly messages: readonly M[];
  /** How many there are that a newer relay may know. */
  readonly unknown: number;
  /** How many there are that nobody can have meant. */
  readonly damaged: number;
}

/** Messages as the text that crosses processes. */
export interface BusCodec<M> {
  readonly encode: (message: M) => string;
  /** Undefined: it is no letter of any version. */
  readonly open: (text: string) => BusLetter<M> | undefined;
}

/**
 * Raised only when what a relay of before would misread goes out. New kinds and new fields need no new version: who does
 * not know a kind passes it over, and so it does a field. Relays of two versions run side by side while one is deployed.
 */
const version = 1;

/** Of a letter, in UTF-16 code units. Nothing longer is read, before it is parsed. */
export const maxLetterLength = 1_000_000;

const bytes = z.codec(z.string(), z.custom<Uint8Array>(), {
  decode(text, context) {
    try {
      return base64Decode(text);
    } catch {
      context.issues.push({ code: "custom", message: "not base64", input: text });
      return z.NEVER;
    }
  },
  encode: (frame) => base64Encode(frame),
});

const client = z.object({ userId: z.string(), clientId: z.string() });

const generation = z.int().nonnegative();

const cursor = z.object({
  filePath: z.string(),
  line: z.int(),
  column: z.int(),
  version: z.int(),
  anchorLine: z.int(),
  anchorColumn: z.int(),
});

const member = z.object({
  client,
  generation,
  displayName: z.string(),
  status: z.int(),
  cursor: cursor.optional(),
});

const token = z.object({
  userId: z.string(),
  scopes: z.array(z.string()).readonly(),
  sessions: z.array(z.string()).readonly(),
  issuedAtMs: z.number(),
  expiresAtMs: z.number(),
  tokenId: z.string().optional(),
});

const sessionMessage = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ephemeral"), sender: client, slot: z.string(), frame: bytes }),
  z.object({ kind: z.literal("supersede"), client, generation: z.int().positive() }),
  z.object({ kind: z.literal("epoch-ended"), epoch: z.string() }),
  z.object({
    kind: z.literal("roster"),
    holder: z.string(),
    number: z.int(),
    isAll: z.boolean(),
    members: z.array(member).readonly(),
    left: z.array(z.object({ client, generation })).readonly(),
    readers: z.int().nonnegative(),
  }),
  z.object({ kind: z.literal("roster-wanted") }),
  z.object({
    kind: z.literal("heard"),
    client,
    generation,
    token: token.optional(),
    isInput: z.boolean(),
    says: z.object({ status: z.int(), displayName: z.string() }).optional(),
  }),
  z.object({ kind: z.literal("renewed"), client, generation, token }),
  z.object({
    kind: z.literal("contended"),
    client,
    holdMs: z.number().nonnegative(),
    waitedMs: z.number().nonnegative(),
  }),
  z.object({
    kind: z.literal("snapshot"),
    epoch: z.string(),
    seq: z.int().nonnegative(),
    first: z.int().nonnegative(),
  }),
]);

const instanceMessage = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("disconnect"),
    sessionId: z.string(),
    userId: z.string(),
    clientId: z.string(),
    ask: z.string().optional(),
  }),
  z.object({ kind: z.literal("disconnected"), ask: z.string(), instance: z.string(), streams: z.int().nonnegative() }),
  z.object({ kind: z.literal("instance"), instance: z.string(), state: z.enum(["new", "there", "gone"]) }),
  z.object({ kind: z.literal("revoked") }),
]);

/** One text of several messages, each encoded. */
export const sealLetter = (from: string, encoded: readonly string[]): string =>
  `{"v":${version},"from":${JSON.stringify(from)},"messages":[${encoded.join(",")}]}`;

export const sessionCodec: BusCodec<BusMessage> = createCodec(sessionMessage);
export const instanceCodec: BusCodec<InstanceMessage> = createCodec(instanceMessage);

const letterHead = z.object({ v: z.int(), from: z.string() });
const letterBody = z.object({ messages: z.array(z.unknown()) });
const anyMessage = z.object({ kind: z.string() });

type Kinds = z.ZodDiscriminatedUnion<readonly z.ZodObject<{ kind: z.ZodLiteral<string> }>[]>;

/** A kind of the port's union that a schema forgets does not compile, where its codec is given its type. */
function createCodec<S extends Kinds>(schema: S): BusCodec<z.output<S>> {
  const kinds = new Set(schema.options.map(({ shape }) => shape.kind.value));
  return {
    encode: (message) => JSON.stringify(z.encode(schema, message)),
    open(text) {
      const json = parseJson(text);
      const head = letterHead.safeParse(json).data;
      if (head === undefined) return undefined;
      const { v, from } = head;
      if (v > version) return { from, messages: [], unknown: 1, damaged: 0 };
      const body = letterBody.safeParse(json).data;
      if (body === undefined || v < 1) return undefined;
      const messages: z.output<S>[] = [];
      let unknown = 0;
      let damaged = 0;
      for (const item of body.messages) {
        const message = schema.safeParse(item);
        const kind = anyMessage.safeParse(item).data?.kind;
        if (message.success) messages.push(message.data);
        else if (kind !== undefined && !kinds.has(kind)) unknown++;
        else damaged++;
      }
      return { from, messages, unknown, damaged };
    },
  };
}

function parseJson(text: string): unknown {
  if (text.length > maxLetterLength) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
