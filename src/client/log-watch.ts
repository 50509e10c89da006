import { create } from "@bufbuild/protobuf";
import {
  Join_History as History,
  JoinSchema,
  type Limits,
  type SessionMessage,
  SessionMessageSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import { judgeEnd, type StreamEnd } from "../session/client/stream-end.ts";
import { assertNever } from "../session/reasons.ts";
import type { Machine, MachineEffect } from "./machine.ts";

/** What a watch tells: how far the log reaches, and the records that came. They may have gaps; `ReadLog` fills them. */
export type WatchEvent =
  | { readonly kind: "head"; readonly seq: number; readonly epoch: string }
  | { readonly kind: "record"; readonly message: SessionMessage };

type Effects = readonly MachineEffect<WatchEvent>[];

export interface WatchOptions {
  readonly sessionId: string;
  readonly clientId: string;
  readonly clientName: string;
}

/** A machine that says nothing and only hears what is logged from now on. */
export class LogWatch implements Machine<WatchEvent> {
  readonly #options: WatchOptions;
  #clientId: string;
  #limits: Limits | undefined;
  #goAwayMs = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#clientId = options.clientId;
  }

  get limits(): Limits | undefined {
    return this.#limits;
  }

  join(): SessionMessage {
    this.#goAwayMs = 0;
    const { sessionId, clientName } = this.#options;
    const value = create(JoinSchema, { clientId: this.#clientId, clientName, history: History.LIVE, protocol: 1 });
    return create(SessionMessageSchema, { sessionId, payload: { case: "join", value } });
  }

  receive(message: SessionMessage, nowMs: number): Effects {
    if (message.seq > 0n) return [{ kind: "tell", event: { kind: "record", message } }];
    const { payload } = message;
    switch (payload.case) {
      case "welcome": {
        const { headSeq, epoch, limits } = payload.value;
        this.#limits = limits;
        return [{ kind: "tell", event: { kind: "head", seq: Number(headSeq), epoch } }];
      }
      case "heartbeat":
        return payload.value.echo === 0n ? [this.#answer(payload.value.sentAt, nowMs)] : [];
      case "goAway":
        this.#goAwayMs = Number(payload.value.reconnectAfterMs);
        return [];
      case "fault":
        return this.ended({ fault: payload.value });
      default:
        return [];
    }
  }

  receiveReply(): Effects {
    return [];
  }

  publishEnded(): Effects {
    return [];
  }

  retry(): Effects {
    return [];
  }

  ended(end: StreamEnd): Effects {
    const { fault } = end;
    const afterMs = Number(fault?.retryAfterMs ?? 0) || this.#goAwayMs;
    const verdict = judgeEnd(end);
    switch (verdict) {
      case "reconnect":
      case "resync":
      case "reauthenticate": {
        const reauthenticate = verdict === "reauthenticate";
        return [{ kind: "next", step: { kind: "reconnect", mode: "new", afterMs, reauthenticate } }];
      }
      case "renew-client":
        return [{ kind: "next", step: { kind: "renew-client", fromSeq: 0 } }];
      case "stop":
        return [{ kind: "next", step: { kind: "stop", fault } }];
      default:
        return assertNever(verdict);
    }
  }

  renew(clientId: string): Effects {
    this.#clientId = clientId;
    return [];
  }

  #answer(sentAt: bigint, nowMs: number): MachineEffect<WatchEvent> {
    const value = { sentAt: BigInt(nowMs), echo: sentAt };
    const { sessionId } = this.#options;
    return {
      kind: "send",
      message: create(SessionMessageSchema, { sessionId, payload: { case: "heartbeat", value } }),
    };
  }
}
