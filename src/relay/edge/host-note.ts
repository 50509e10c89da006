import { fromJson, toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { CursorPositionSchema, PresenceUpdate_Status as Status } from "../../gen/codereview/v1/codereview_pb.ts";
import type { RosterEntry } from "../../session/roster.ts";
import type { Participant } from "../participant.ts";
import { hopPrincipal, principalSchema } from "./hop-principal.ts";

/** Of somebody who is shown: what the others see, and since when. */
const shownSchema = z
  .object({
    userId: z.string(),
    clientId: z.string(),
    displayName: z.string(),
    status: z.enum(Status),
    cursor: z.json().optional(),
    lastInputMs: z.number(),
    generation: z.number(),
    /** While nobody holds its stream: until when it is still shown. */
    leavesAtMs: z.number().optional(),
  })
  .transform(
    ({ cursor, leavesAtMs, ...rest }): RosterEntry => ({
      ...rest,
      cursor: cursor === undefined ? undefined : fromJson(CursorPositionSchema, cursor),
      stay: leavesAtMs === undefined ? { kind: "here" } : { kind: "away", leavesAtMs },
    }),
  );

function shownNote({ cursor, stay, ...rest }: RosterEntry) {
  return {
    ...rest,
    ...(cursor !== undefined && { cursor: toJson(CursorPositionSchema, cursor) }),
    ...(stay.kind === "away" && { leavesAtMs: stay.leavesAtMs }),
  };
}

const noteSchema = z.object({
  sessionId: z.string(),
  epoch: z.string(),
  streamId: z.string(),
  clientId: z.string(),
  principal: principalSchema,
  generation: z.number(),
  joinedAsReader: z.boolean(),
  carriage: z.enum(["bidi", "split"]),
  dialect: z.enum(["contract", "original"]),
  protocol: z.enum(["connect", "grpc-web", "grpc", "websocket"]),
  form: z.enum(["binary", "json", "text"]),
  /** Left out: it is told of none by an Ack. */
  ackFrom: z.number().optional(),
  shown: shownSchema.optional(),
  /** Of what its gateway sent, what was taken, and not told yet. */
  untoldBytes: z.number().default(0),
});

/**
 * What a link keeps of its stream: all that the stream needs to go on after its object was out of memory. Where it reads is
 * not among it: an object leaves memory only when everybody has been handed everything.
 */
export type Note = z.output<typeof noteSchema>;

export function encodeNote(
  epoch: string,
  participant: Participant,
  shown: RosterEntry | undefined,
  untoldBytes: number,
): string {
  const { identity, principal, reader, streamId, generation, joinedAsReader, carriage, dialect, protocol } =
    participant;
  return JSON.stringify({
    sessionId: identity.sessionId,
    epoch,
    streamId,
    clientId: identity.clientId,
    // Where it may go was looked at when it came.
    principal: { ...hopPrincipal(principal), sessions: [] },
    generation,
    joinedAsReader,
    carriage,
    dialect,
    protocol,
    form: reader.outlet.form,
    ...(Number.isFinite(reader.ackFrom) && { ackFrom: reader.ackFrom }),
    ...(shown !== undefined && { shown: shownNote(shown) }),
    untoldBytes,
  });
}

/** Undefined: code of another version kept it, which kept something else. */
export const decodeNote = (text: string): Note | undefined => decode(noteSchema, text);

const shelfSchema = z.object({ sessionId: z.string(), away: z.array(shownSchema) });

/** What the object itself keeps: its session's name, and who is still shown although their streams are gone. */
export type Shelf = z.output<typeof shelfSchema>;

export const encodeShelf = ({ sessionId, away }: Shelf): string =>
  JSON.stringify({ sessionId, away: away.map(shownNote) });

/** Undefined: likewise. */
export const decodeShelf = (text: string): Shelf | undefined => decode(shelfSchema, text);

function decode<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
