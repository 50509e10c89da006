import { fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { mayWrite } from "../../auth/scopes.ts";
import { SessionMessageSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import type { RosterEntry } from "../../session/roster.ts";
import { clientKey } from "../../session/state.ts";
import { createParticipant } from "../create-participant.ts";
import { isOriginal } from "../original-stream.ts";
import type { Relay } from "../relay.ts";
import type { Room } from "../room.ts";
import { encodeHop, type Hello } from "./hop.ts";
import { decodeNote, type Note } from "./host-note.ts";
import { HostOutlet } from "./host-outlet.ts";
import type { HostLink } from "./host-platform.ts";
import { HostStream } from "./host-stream.ts";

/** A link whose stream was there before the object left memory. */
export interface Noted {
  readonly link: HostLink;
  readonly note: Note;
}

/**
 * A stream that goes on in its room where it was. Undefined: it cannot, and its client is told to come back.
 *
 * @param handed up to there it has everything; undefined: nobody knows
 */
export function resumeStream(
  relay: Relay,
  room: Room,
  { link, note }: Noted,
  { handed, entered }: { readonly handed: number | undefined; readonly entered: () => Promise<void> },
): HostStream | undefined {
  const isOther = note.epoch !== room.state.epoch;
  // What a client of the original contract was shown, nobody noted.
  if (isOther || note.dialect === "original" || handed === undefined) {
    refuseLink(link, new BatonError(isOther ? "EPOCH_CHANGED" : "LOG_UNAVAILABLE"));
    return undefined;
  }
  const { sessionId, clientId, principal, ackFrom = Number.POSITIVE_INFINITY, shown } = note;
  const { userId } = principal;
  const outlet = new HostOutlet(link, note.form);
  const participant = createParticipant(relay, room, {
    ...note,
    identity: { sessionId, userId, clientId, key: clientKey(userId, clientId) },
    outlet,
    ackFrom,
    snapshot: undefined,
    fromSeq: handed + 1,
    promisedSeq: handed,
    resynced: false,
    trace: undefined,
  });
  const stream = new HostStream(relay, link, entered);
  stream.resume({ room, participant }, outlet, note.untoldBytes);
  if (shown !== undefined) room.roster.restore(shown);
  room.restore(participant);
  return stream;
}

/**
 * Who is still shown although their streams are gone. Clients are as many as anybody names: of the first of too many it is
 * told that they have left.
 */
export function takeAway(room: Room, most: number): RosterEntry[] {
  const gone = [...room.roster.entries].flatMap((entry) =>
    entry.stay.kind === "away" ? [{ entry, stay: entry.stay }] : [],
  );
  gone.sort((a, b) => a.stay.leavesAtMs - b.stay.leavesAtMs);
  const tooMany = gone.splice(0, Math.max(0, gone.length - most));
  for (const { entry } of tooMany) room.tell(room.roster.left(clientKey(entry.userId, entry.clientId)));
  return gone.map(({ entry }) => entry);
}

export const knownError = (error: unknown) =>
  error instanceof BatonError ? error : new BatonError("INTERNAL", undefined, { cause: error });

/** Whoever may only read. A client of the original contract is told what nobody else is, by the session's own object. */
export function mayBeSentOn({ principal, first }: Hello): boolean {
  return !mayWrite(principal.scopes) && !isOriginal(fromBinary(SessionMessageSchema, base64Decode(first)));
}

/** One that cannot be read was kept by code of another version: its client comes back. */
export function readNote(link: HostLink): readonly Noted[] {
  if (link.noted === undefined) return [];
  const note = decodeNote(link.noted);
  if (note === undefined) refuseLink(link, new BatonError("DRAIN"));
  return note === undefined ? [] : [{ link, note }];
}

export function refuseLink(link: HostLink, error: BatonError): void {
  link.send(encodeHop({ kind: "end", error }));
  link.close();
}
