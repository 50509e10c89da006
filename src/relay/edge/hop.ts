import { z } from "zod";
import type { BatonError } from "../../session/reasons.ts";
import { assertNever } from "../../session/reasons.ts";
import { errorSchema, hopError, hopPrincipal, principalSchema } from "./hop-principal.ts";

/**
 * What goes between a gateway, which ends a client's stream, and the session's object, over one link for each stream.
 * Code of two versions speaks it while a deploy is under way: a message of a kind that is not known is ignored, a field
 * that is not known too, and a new field may be missing. A first byte names the version of all this, a second the kind.
 */
const hopVersion = 1;

/** What a stream's gateway tells first: who it is that has come, and by which way. */
export const helloSchema = z.object({
  sessionId: z.string(),
  streamId: z.string(),
  principal: principalSchema,
  carriage: z.enum(["bidi", "split"]),
  protocol: z.enum(["connect", "grpc-web", "grpc", "websocket"]),
  form: z.enum(["binary", "json", "text"]),
  /** The client's first message, in base64. */
  first: z.string(),
  /** The span of whoever called. */
  trace: z.object({ traceId: z.string(), spanId: z.string(), traceFlags: z.number() }).optional(),
  /** Where the gateway is, as its platform names it; empty: not known. Whoever says it can be sent elsewhere. */
  region: z.string().optional(),
});

export type Hello = z.output<typeof helloSchema>;

/** So many bytes of what came were taken on; they are no longer on their way. */
interface Took {
  readonly kind: "took";
  readonly bytes: number;
}

/** From the gateway. */
export type HopUp =
  | { readonly kind: "hello"; readonly hello: Hello }
  /** A client's message, in binary. A token in it has become a voucher. */
  | { readonly kind: "message"; readonly message: Uint8Array }
  /** The client has closed its half: it gets its acks, then the stream ends well. */
  | { readonly kind: "finish" }
  /** The stream is over; undefined: its client went. */
  | { readonly kind: "leave"; readonly error: BatonError | undefined }
  | Took;

/** From the object. */
export type HopDown =
  /** Whole frames, as the client takes them. */
  | { readonly kind: "frames"; readonly frames: Uint8Array }
  /** It is in its session, as this client; behind its Welcome. */
  | { readonly kind: "joined"; readonly clientId: string; readonly resumeToken: string }
  /** Its client, who sends by `Publish`, has said something. */
  | { readonly kind: "heard" }
  /** The token in force is now this one. */
  | { readonly kind: "renewed"; readonly principal: Hello["principal"] }
  /** The stream ends; undefined: well. */
  | { readonly kind: "end"; readonly error: BatonError | undefined }
  /** The stream belongs at another object of the session, by its name. Said in the place of all else. */
  | { readonly kind: "elsewhere"; readonly object: string }
  | Took;

const kinds = {
  hello: 1,
  message: 2,
  finish: 3,
  leave: 4,
  took: 5,
  frames: 6,
  renewed: 7,
  end: 8,
  joined: 9,
  heard: 10,
  elsewhere: 11,
} as const;

/** Bytes before the body of a hop message. */
export const hopHeaderBytes = 2;

const tookSchema = z.object({ bytes: z.number().nonnegative() });
const elsewhereSchema = z.object({ object: z.string() });
/** An object whose code is older tells no resume token. */
const joinedSchema = z.object({ clientId: z.string(), resumeToken: z.string().default("") });
const overSchema = z.object({ error: errorSchema.optional() });
const renewedSchema = z.object({ principal: principalSchema });

export function encodeHop(message: HopUp | HopDown): Uint8Array<ArrayBuffer> {
  const { kind } = message;
  switch (kind) {
    case "hello": {
      const { principal, ...rest } = message.hello;
      return ofJson(kind, { ...rest, principal: hopPrincipal(principal) });
    }
    case "message":
      return of(kind, message.message);
    case "frames":
      return of(kind, message.frames);
    case "finish":
    case "heard":
      return of(kind, new Uint8Array(0));
    case "took":
      return ofJson(kind, { bytes: message.bytes });
    case "joined":
      return ofJson(kind, { clientId: message.clientId, resumeToken: message.resumeToken });
    case "elsewhere":
      return ofJson(kind, { object: message.object });
    case "renewed":
      return ofJson(kind, { principal: hopPrincipal(message.principal) });
    case "leave":
    case "end":
      return ofJson(kind, message.error === undefined ? {} : { error: hopError(message.error) });
    default:
      return assertNever(kind);
  }
}

/** Undefined: of a kind that is not known here. Throws where it cannot be read: it is of another version, or damaged. */
export function decodeHop(bytes: Uint8Array): HopUp | HopDown | undefined {
  if (bytes[0] !== hopVersion)
    throw new TypeError(`this is version ${bytes[0]} of the hop; ${hopVersion} is spoken here`);
  const body = bytes.subarray(hopHeaderBytes);
  switch (bytes[1]) {
    case kinds.hello:
      return { kind: "hello", hello: helloSchema.parse(parseJson(body)) };
    case kinds.message:
      return { kind: "message", message: body };
    case kinds.frames:
      return { kind: "frames", frames: body };
    case kinds.finish:
      return { kind: "finish" };
    case kinds.took:
      return { kind: "took", bytes: tookSchema.parse(parseJson(body)).bytes };
    case kinds.joined:
      return { kind: "joined", ...joinedSchema.parse(parseJson(body)) };
    case kinds.heard:
      return { kind: "heard" };
    case kinds.renewed:
      return { kind: "renewed", principal: renewedSchema.parse(parseJson(body)).principal };
    case kinds.elsewhere:
      return { kind: "elsewhere", object: elsewhereSchema.parse(parseJson(body)).object };
    case kinds.leave:
      return { kind: "leave", error: overSchema.parse(parseJson(body)).error };
    case kinds.end:
      return { kind: "end", error: overSchema.parse(parseJson(body)).error };
    default:
      return undefined;
  }
}

/** The same. Unreadable: nothing that comes behind it could be understood either. */
export function readHop(bytes: Uint8Array): HopUp | HopDown | undefined | "unreadable" {
  try {
    return decodeHop(bytes);
  } catch {
    return "unreadable";
  }
}

/** Whether it is one that a gateway says. */
export function isUp(hop: HopUp | HopDown): hop is HopUp {
  switch (hop.kind) {
    case "hello":
    case "message":
    case "finish":
    case "leave":
    case "took":
      return true;
    case "frames":
    case "joined":
    case "heard":
    case "elsewhere":
    case "renewed":
    case "end":
      return false;
    default:
      return assertNever(hop);
  }
}

const parseJson = (body: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(body));

const ofJson = (kind: keyof typeof kinds, value: object) => of(kind, new TextEncoder().encode(JSON.stringify(value)));

function of(kind: keyof typeof kinds, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(hopHeaderBytes + body.length);
  message[0] = hopVersion;
  message[1] = kinds[kind];
  message.set(body, hopHeaderBytes);
  return message;
}
