import { create } from "@bufbuild/protobuf";
import type { SpanContext } from "@opentelemetry/api";
import type { Principal } from "../auth/principal.ts";
import { Join_History as History, JoinSchema, type SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { recentText } from "../session/file.ts";
import { OriginalView } from "../session/original/view.ts";
import { refuse } from "../session/refusal.ts";
import { type Joined, joinSession } from "./join.ts";
import { OriginalOutlet } from "./original-outlet.ts";
import { OriginalVoice } from "./original-voice.ts";
import { receive } from "./receive.ts";
import type { Relay } from "./relay.ts";
import type { StreamCall } from "./stream.ts";

/** Whether a message is one that the original contract has. Sent first, it joins. */
export function isOriginal({ payload }: SessionMessage): boolean {
  const { case: kind } = payload;
  return kind === "edit" || kind === "comment" || kind === "cursor" || kind === "presence";
}

export interface OriginalCall extends Pick<StreamCall<never>, "outlet" | "streamId" | "signal" | "protocol"> {
  /** The span of whoever called. */
  readonly trace: SpanContext | undefined;
}

export interface OriginalStream {
  readonly joined: Joined;
  /** One message of the client, the one by which it joined among them. */
  receive(message: SessionMessage, bytes: number): Promise<void>;
}

/** Takes in a client of the original contract, which says no Join. It is a new client each time, and has seen nothing. */
export async function joinOriginal(
  relay: Relay,
  { outlet, streamId, signal, protocol, trace }: OriginalCall,
  principal: Principal,
  sessionId: string,
): Promise<OriginalStream> {
  const clientId = relay.newId();
  const view = new OriginalView(principal.userId, clientId, (path, version) => {
    const file = relay.rooms.present(sessionId)?.state.files.get(path);
    return file === undefined ? undefined : recentText(file, version);
  });
  const joined = await joinSession(relay, {
    sessionId,
    join: create(JoinSchema, { clientId, history: History.FULL }),
    principal,
    carriage: "bidi",
    dialect: "original",
    protocol,
    trace,
    outlet: new OriginalOutlet(outlet, view, { now: relay.now, defer: relay.inTurn }),
    streamId,
    signal,
  });
  const { room, participant } = joined;
  const voice = new OriginalVoice(joined, view);
  return {
    joined,
    async receive(message, bytes) {
      await untilItMaySend(relay, joined, bytes);
      if (!room.participants.has(participant.streamId)) return;
      if (!isOriginal(message) && message.payload.case !== undefined) return voice.refuse(refuse("NOT_JOINED"));
      await receive(relay, room, voice, voice.number(message), bytes);
    },
  };
}

/** The longest wait in one piece: an ended stream is not held on to for longer. */
const longestWaitMs = 1_000;

/**
 * A refusal would end its stream, and it knows no limits: so it is read no faster than it may send. What it has sent
 * waits in its transport.
 */
async function untilItMaySend(relay: Relay, { room, participant }: Joined, bytes: number): Promise<void> {
  const { rate } = participant;
  for (;;) {
    const waitMs = Math.min(rate.freeInMs(relay.now()), longestWaitMs);
    if (waitMs === 0 || !room.participants.has(participant.streamId)) break;
    await new Promise<void>((resolve) => setTimeout(resolve, waitMs));
  }
  if (participant.unackedBytes + bytes > relay.limits.unackedBytes) await participant.answered();
}
