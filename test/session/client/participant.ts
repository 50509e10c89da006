import assert from "node:assert/strict";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Text } from "@codemirror/state";
import type { Fault, SessionMessage } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { SessionClient } from "../../../src/session/client/client.ts";
import type { ClientEffect, ClientEvent } from "../../../src/session/client/effects.ts";
import type { Reason } from "../../../src/session/reasons.ts";
import { changeSet, emptyText, lineBreak } from "../../../src/session/text.ts";
import type { Random } from "./relay-model.ts";

/** Characters that no other edit of the run inserts, each a surrogate pair: so that each can be followed. */
export class Marks {
  #next = 0x20000;
  take(): string {
    this.#next += 1;
    return String.fromCodePoint(this.#next);
  }
  static in(text: string): string[] {
    return [...text].filter((character) => (character.codePointAt(0) ?? 0) >= 0x20000);
  }
}

const paths = ["a.ts", "b.ts", "c.ts"];

/** A stream as its client has it: messages on their way, which may be cut anywhere. */
export interface NetworkStream {
  readonly up: Uint8Array[];
  readonly down: Uint8Array[];
  /** What the relay ended it with. */
  readonly ended: Reason | undefined;
  /** The client no longer listens. */
  gone: boolean;
}

/** What a participant knows of the relay, or of several, and of the network before them. */
export interface Network<S extends NetworkStream> {
  readonly nowMs: number;
  readonly streams: Set<S>;
  readonly log: readonly { readonly message: SessionMessage }[];
  open(userId: string): S;
  faultOf(reason: Reason): Fault;
}

/** A user with a machine, an editor that knows only what the machine tells, and a stream that may break. */
export class Participant<S extends NetworkStream> {
  readonly client: SessionClient;
  readonly #relay: Network<S>;
  readonly #random: Random;
  readonly #marks: Marks;
  readonly userId: string;
  stream: S | undefined;
  /** The application's own copy of what is displayed. */
  readonly editor = new Map<string, Text>();
  readonly events: ClientEvent[] = [];
  /** Marks that were typed, and those that the machine said will not be logged. */
  readonly typed = new Set<string>();
  readonly dropped = new Set<string>();
  readonly customs = new Set<number>();
  readonly droppedCustoms = new Set<number>();
  retryDue = false;
  #comments = 0;
  #customs = 0;
  #renewals = 0;

  constructor(name: string, relay: Network<S>, random: Random, marks: Marks, insertUnits?: number) {
    this.userId = name;
    this.#relay = relay;
    this.#random = random;
    this.#marks = marks;
    const editBounds = insertUnits === undefined ? {} : { editBounds: { insertUnits, changes: 3 } };
    this.client = new SessionClient({ sessionId: "s", clientId: `c-${name}`, ...editBounds });
  }

  connect(): void {
    if (this.stream !== undefined) return;
    this.stream = this.#relay.open(this.userId);
    this.stream.up.push(toBinary(SessionMessageSchema, this.client.join()));
  }

  /** The stream breaks: what is on its way down is lost, and some of what is on its way up. */
  cut(): void {
    const { stream } = this;
    if (stream === undefined) return;
    stream.gone = true;
    stream.down.length = 0;
    stream.up.length = this.#random(stream.up.length + 1);
    if (stream.up.length === 0) this.#relay.streams.delete(stream);
    this.stream = undefined;
    this.#run(this.client.ended());
  }

  /** Takes one message, or notices the end of the stream. */
  takeDown(): boolean {
    const { stream } = this;
    if (stream === undefined) return false;
    const bytes = stream.down.shift();
    if (bytes !== undefined) {
      this.#run(this.client.receive(fromBinary(SessionMessageSchema, bytes), this.#relay.nowMs));
      return true;
    }
    if (stream.ended === undefined) return false;
    this.#leave();
    const fault = this.#relay.faultOf(stream.ended);
    this.#run(this.client.ended({ code: fault.code, fault }));
    return true;
  }

  retry(): boolean {
    if (!this.retryDue) return false;
    this.retryDue = false;
    this.#run(this.client.retry());
    return true;
  }

  #leave(): void {
    if (this.stream !== undefined) this.#relay.streams.delete(this.stream);
    this.stream = undefined;
  }

  #run(effects: readonly ClientEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          this.stream?.up.push(toBinary(SessionMessageSchema, effect.message));
          break;
        case "retry-after":
          assert.ok(effect.afterMs > 0);
          this.retryDue = true;
          break;
        case "next":
          this.#leave();
          if (effect.step.kind === "renew-client") this.#renew(effect.step.fromSeq);
          else assert.equal(effect.step.kind, "reconnect");
          break;
        case "tell":
          this.#told(effect.event);
          break;
        default:
          assert.fail();
      }
    }
    this.check();
  }

  #renew(fromSeq: number): void {
    this.#renewals += 1;
    const tail = this.#relay.log.slice(fromSeq - 1).map(({ message }) => message);
    this.#run(this.client.renew(`c-${this.userId}-${this.#renewals}`, tail));
  }

  #told(event: ClientEvent): void {
    this.events.push(event);
    if (event.kind === "protocol-error") assert.fail(event.message);
    if (event.kind === "text") {
      const before = this.editor.get(event.path) ?? emptyText;
      const after = event.changes.apply(before);
      if (event.exists) this.editor.set(event.path, after);
      else {
        assert.equal(after.length, 0);
        this.editor.delete(event.path);
      }
    }
    if (event.kind === "refused" || event.kind === "uncertain") {
      const { payload } = event;
      if (payload.case === "edit") this.#drop(payload.value.changes.map(({ insert }) => insert).join(""));
      if (payload.case === "custom") this.droppedCustoms.add(payload.value.data[0] ?? 0);
    }
    if (event.kind === "lost-file") this.#drop(event.text.toString());
  }

  #drop(text: string): void {
    for (const mark of Marks.in(text)) this.dropped.add(mark);
  }

  /** The application and the machine display the same, and the machine's layers add up to it. */
  check(): void {
    assert.deepEqual([...this.client.paths()].sort(), [...this.editor.keys()].sort());
    for (const [path, text] of this.editor) {
      const displayed = this.client.text(path);
      assert.ok(displayed?.eq(text), "the application's text is the displayed one");
      const file = this.client.file(path);
      assert.ok(file !== undefined);
      let layered: Text = file.confirmed.text;
      for (const step of [file.inFlight, ...file.buffer]) {
        if (step?.kind === "delete") layered = emptyText;
        else if (step?.kind === "edit" || step?.kind === "create") layered = step.changes.apply(layered);
      }
      assert.ok(layered.eq(text), "the layers add up");
    }
  }

  /** Something that a user does; `deletes`: whether text and files may go. */
  act(deletes: boolean): void {
    const path = paths[this.#random(paths.length)] ?? "a.ts";
    const present = this.editor.get(path);
    const kind = this.#random(20);
    if (kind < 13) this.#type(path, deletes);
    else if (kind < 15) this.#custom();
    else if (kind < 18) this.#comment(path);
    else if (deletes && present !== undefined && this.#random(10) === 0) {
      this.editor.delete(path);
      this.#run(this.client.deleteFile(path));
    }
  }

  #type(path: string, deletes: boolean): void {
    const before = this.editor.get(path) ?? emptyText;
    if (!this.editor.has(path) && this.#random(5) > 0) return;
    const changes = [];
    let at = 0;
    for (let count = 1 + this.#random(3); count > 0; count--) {
      const from = safe(before, at + this.#random(before.length - at + 1));
      if (from < at) break;
      const to = deletes ? safe(before, from + this.#random(Math.min(6, before.length - from + 1))) : from;
      const mark = this.#marks.take();
      this.typed.add(mark);
      changes.push({ from, to: Math.max(from, to), insert: noise[this.#random(noise.length)] + mark });
      at = Math.max(from, to);
    }
    const set = changeSet(before.length, changes);
    this.editor.set(path, set.apply(before));
    this.#run(this.client.edit(path, set));
  }

  #custom(): void {
    const number = this.#customs;
    this.#customs = (this.#customs + 1) % 256;
    this.customs.add(number);
    this.#run(this.client.custom(`x-${this.userId}`, Uint8Array.of(number)));
  }

  #comment(path: string): void {
    const file = this.editor.get(path);
    const own = [...this.client.comments()].filter(({ userId }) => userId === this.userId);
    const some = own[this.#random(own.length)];
    const kind = this.#random(6);
    if (some !== undefined && kind === 0) this.#run(this.client.deleteComment(some.id));
    else if (some !== undefined && kind === 1) this.#run(this.client.resolveComment(some.id, !some.resolved));
    else if (some !== undefined && kind === 2)
      this.#run(this.client.rewriteComment(some.id, `again ${this.#comments}`));
    else if (file !== undefined) {
      this.#comments += 1;
      const id = some !== undefined && kind === 3 ? some.id : `${this.userId}-${this.#comments}`;
      const line = 1 + this.#random(file.lines);
      this.#run(this.client.putComment({ id, path, line, text: `on ${line}` }));
    }
  }
}

const noise = ["", "", "\n", "\r", "x\ny", "\r\n", "zz"];

/** Not between the halves of a pair. */
function safe(text: Text, position: number): number {
  const unit = text.sliceString(position, position + 1, lineBreak).charCodeAt(0);
  return (unit & 0xfc00) === 0xdc00 ? position - 1 : position;
}
