import { create, equals, type MessageInitShape } from "@bufbuild/protobuf";
import type { SessionMessage } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import {
  Fault_Action as Action,
  Welcome_Outcome as Outcome,
  SessionMessageSchema,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { type ClientOptions, SessionClient } from "../../../src/session/client/client.ts";
import type { ClientEffect, ClientEvent, NextStep } from "../../../src/session/client/effects.ts";
import { type Reason, reasons } from "../../../src/session/reasons.ts";
import { changeSet, textContent } from "../../../src/session/text.ts";

type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;
type EditInit = Extract<Payload, { case: "edit" }>["value"];
type WelcomeInit = Extract<Payload, { case: "welcome" }>["value"];

/** A machine and a relay's part that a test plays by hand. */
export class Script {
  readonly client: SessionClient;
  sent: SessionMessage[] = [];
  events: ClientEvent[] = [];
  next: NextStep | undefined;
  retryAfterMs: number | undefined;

  constructor(options: Partial<ClientOptions> = {}) {
    this.client = new SessionClient({ sessionId: "s", clientId: "me", ...options });
  }

  run(effects: readonly ClientEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.sent.push(effect.message);
      else if (effect.kind === "tell") this.events.push(effect.event);
      else if (effect.kind === "next") this.next = effect.step;
      else this.retryAfterMs = effect.afterMs;
    }
  }

  get(payload: Payload, { clientId = "me", userId = "ann", seq = 0, clientSeq = 0, timestamp = 7 } = {}): void {
    this.run(this.client.receive(message(payload, { clientId, userId, seq, clientSeq, timestamp }), 100, 4_000));
  }

  /** Joins a session that is empty, or what the parts say. */
  welcome(value: WelcomeInit): void {
    this.get({ case: "welcome", value: { epoch: "e1", resumeToken: "t1", clientId: "me", ...value } });
  }

  /** Live, in a session with one file at version 1. */
  static live(content = "", options: Partial<ClientOptions> = {}): Script {
    const script = new Script(options);
    script.client.join();
    script.welcome({ outcome: Outcome.NEW, headSeq: 1n });
    const files = [{ filePath: "f", version: 1, content }];
    script.get({ case: "snapshot", value: { seq: 1n, epoch: "e1", files } });
    script.clear();
    return script;
  }

  clear(): void {
    this.sent = [];
    this.events = [];
    this.next = undefined;
    this.retryAfterMs = undefined;
  }

  /** Somebody else's record. */
  remote(seq: number, payload: Payload): void {
    this.get(payload, { userId: "bob", clientId: "other", seq });
  }

  remoteEdit(seq: number, version: number, value: EditInit): void {
    this.remote(seq, { case: "edit", value: { filePath: "f", version, ...value } });
  }

  ack(clientSeq: number, seq: number, version = 0): void {
    this.get({ case: "ack", value: { clientSeq: BigInt(clientSeq), seq: BigInt(seq), version } });
  }

  fault(reason: Reason, clientSeq: number, retryAfterMs = 0): void {
    this.get({ case: "fault", value: faultValue(reason, clientSeq, retryAfterMs) });
  }

  type(from: number, insert: string, to = from, path = "f"): void {
    const length = this.client.text(path)?.length ?? 0;
    this.run(this.client.edit(path, changeSet(length, [{ from, to, insert }])));
  }

  text(path = "f"): string | undefined {
    const text = this.client.text(path);
    return text === undefined ? undefined : textContent(text);
  }

  /** What was sent that is logged, as number and kind, or an edit's content. */
  numbers(): string[] {
    return this.sent.map(({ clientSeq, payload }) => `${clientSeq} ${describe(payload)}`);
  }

  told<K extends ClientEvent["kind"]>(kind: K): Extract<ClientEvent, { kind: K }>[] {
    return this.events.filter((event): event is Extract<ClientEvent, { kind: K }> => event.kind === kind);
  }
}

function describe(payload: SessionMessage["payload"]): string {
  if (payload.case === "edit") {
    const { version, changes, deleted, filePath } = payload.value;
    const list = changes.map(({ from, to, insert }) => `${from}-${to}:${insert}`).join(",");
    return `${filePath}@${version} ${deleted ? "deleted" : list}`;
  }
  if (payload.case === "comment") {
    const { commentId, lineNumber, version } = payload.value;
    return `comment ${commentId} ${lineNumber}@${version}`;
  }
  return payload.case === "custom" ? `custom ${payload.value.data.join()}` : `${payload.case}`;
}

export function faultValue(reason: Reason, clientSeq = 0, retryAfterMs = 0) {
  const { code, action, says } = reasons[reason];
  return { code, reason, message: says, action, clientSeq: BigInt(clientSeq), retryAfterMs: BigInt(retryAfterMs) };
}

export function message(
  payload: Payload,
  { clientId = "other", userId = "bob", seq = 0, clientSeq = 0, timestamp = 7 } = {},
): SessionMessage {
  const sessionId = "s";
  const [numbers, timestampMs] = [{ seq: BigInt(seq), clientSeq: BigInt(clientSeq) }, BigInt(timestamp)];
  return create(SessionMessageSchema, { sessionId, userId, clientId, ...numbers, timestamp: timestampMs, payload });
}

export function sameMessage(a: SessionMessage | undefined, b: SessionMessage | undefined): boolean {
  return a !== undefined && b !== undefined && equals(SessionMessageSchema, a, b);
}

export { Action, Outcome };
