import { create, fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { mayWrite } from "../../auth/scopes.ts";
import { JoinSchema, type SessionMessage, SessionMessageSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { assertNever, BatonError } from "../../session/reasons.ts";
import { type Joined, joinSession } from "../join.ts";
import { isOriginal, joinOriginal } from "../original-stream.ts";
import { receive } from "../receive.ts";
import type { Relay } from "../relay.ts";
import { StreamVoice } from "../stream-voice.ts";
import { encodeHop, type Hello, type HopUp } from "./hop.ts";
import { ReceiveCredits } from "./hop-credits.ts";
import { encodeNote } from "./host-note.ts";
import { HostOutlet } from "./host-outlet.ts";
import type { HostLink } from "./host-platform.ts";

/** A client's stream in its session's object, behind its gateway. */
export class HostStream {
  readonly #relay: Relay;
  readonly #link: HostLink;
  readonly #credits: ReceiveCredits;
  /** Resolves when the session can be joined here. */
  readonly #entered: () => Promise<void>;
  readonly #life = new AbortController();
  #hello: Hello | undefined;
  #outlet: HostOutlet | undefined;
  #joined: Joined | undefined;
  #receive: ((message: SessionMessage, bytes: number) => Promise<void>) | undefined;
  /** What came is handled one after the other. */
  #handled: Promise<void> = Promise.resolve();
  #noted = "";

  constructor(relay: Relay, link: HostLink, entered: () => Promise<void>) {
    this.#relay = relay;
    this.#link = link;
    this.#entered = entered;
    this.#credits = new ReceiveCredits((bytes) => link.send(encodeHop({ kind: "took", bytes })));
  }

  /** Goes on where it was; `untoldBytes`: as noted. */
  resume(joined: Joined, outlet: HostOutlet, untoldBytes: number): void {
    this.#outlet = outlet;
    this.#credits.took(untoldBytes);
    this.#enter(joined);
  }

  get joined(): Joined | undefined {
    return this.#joined;
  }

  /** Whether it may only read, and is in the session or about to be. */
  get isReader(): boolean {
    if (this.#joined === undefined) return this.#hello !== undefined && !mayWrite(this.#hello.principal.scopes);
    const { participant, room } = this.#joined;
    return !participant.mayWrite && room.participants.has(participant.streamId);
  }

  /** Resolves when it is handled. Never rejects. */
  async hear(hop: HopUp, bytes: number): Promise<void> {
    if (hop.kind === "hello") this.#hello ??= hop.hello;
    // Whoever waits for credits may be before it in the line.
    if (hop.kind === "took") return this.#outlet?.took(hop.bytes);
    if (hop.kind === "leave") this.#life.abort(hop.error);
    this.#handled = this.#handled.then(() => this.#handle(hop, bytes)).catch((error: unknown) => this.#fail(error));
    await this.#handled;
  }

  /** The link is gone. */
  async gone(): Promise<void> {
    await this.hear({ kind: "leave", error: undefined }, 0);
  }

  /** Whether it may be taken out of memory, and found again by what was noted. */
  get mayRest(): boolean {
    const { participant, room } = this.#joined ?? {};
    if (participant === undefined || room?.participants.has(participant.streamId) !== true) return true;
    return participant.reader.drained && participant.dialect === "contract";
  }

  /** Notes with the link what its stream has become, where that is something else. */
  note(): void {
    if (this.#joined === undefined) return;
    const { participant, room } = this.#joined;
    if (!room.participants.has(participant.streamId)) return;
    const note = encodeNote(room.state.epoch, participant, room.roster.get(participant.key), this.#credits.untoldBytes);
    if (note === this.#noted) return;
    this.#noted = note;
    this.#link.note(note);
  }

  async #handle(hop: HopUp, bytes: number): Promise<void> {
    switch (hop.kind) {
      case "hello":
        return await this.#join(hop.hello);
      case "message": {
        this.#credits.took(hop.message.length);
        const { participant, room } = this.#joined ?? {};
        room?.expire(this.#relay.now());
        if (participant === undefined || room?.participants.has(participant.streamId) !== true) return;
        participant.receivedBytes += bytes;
        return await this.#receive?.(fromBinary(SessionMessageSchema, hop.message), bytes);
      }
      case "finish":
        // Its acks may wait for the client, and what comes meanwhile waits for nobody.
        void this.#finish();
        return;
      case "leave":
        if (this.#joined !== undefined) this.#joined.room.end(this.#joined.participant, hop.error);
        return;
      case "took":
        return;
      default:
        return assertNever(hop);
    }
  }

  async #join(hello: Hello): Promise<void> {
    if (this.#outlet !== undefined) return;
    const { sessionId, principal, carriage, protocol, streamId } = hello;
    const relay = this.#relay;
    const outlet = new HostOutlet(this.#link, hello.form);
    this.#outlet = outlet;
    await this.#entered();
    const first = fromBinary(SessionMessageSchema, base64Decode(hello.first));
    const { signal } = this.#life;
    const call = { outlet, streamId, signal, protocol, trace: hello.trace };
    let resumeToken = "";
    if (isOriginal(first)) {
      const { joined, receive } = await joinOriginal(relay, call, principal, sessionId);
      this.#joined = joined;
      this.#receive = receive;
      await receive(first, hello.first.length);
    } else {
      const join = first.payload.case === "join" ? first.payload.value : create(JoinSchema);
      const member = { sessionId, join, principal, carriage, dialect: "contract" } as const;
      const entered = await joinSession(relay, { ...call, ...member });
      resumeToken = entered.resumeToken;
      this.#enter(entered);
    }
    const { clientId } = this.#joined?.participant.identity ?? { clientId: "" };
    this.#link.send(encodeHop({ kind: "joined", clientId, resumeToken }));
  }

  #enter(joined: Joined): void {
    const { room, participant } = joined;
    this.#joined = joined;
    const voice = new StreamVoice(participant);
    this.#receive = (message, bytes) => receive(this.#relay, room, voice, message, bytes);
    participant.renewed = (principal) => this.#link.send(encodeHop({ kind: "renewed", principal }));
    participant.heardOf = () => this.#link.send(encodeHop({ kind: "heard" }));
  }

  async #finish(): Promise<void> {
    if (this.#joined === undefined) return;
    const { participant, room } = this.#joined;
    await participant.answered();
    await participant.reader.flushed();
    room.end(participant);
  }

  #fail(error: unknown): void {
    this.#hello = undefined;
    const known = error instanceof BatonError ? error : new BatonError("INTERNAL", undefined, { cause: error });
    if (this.#joined !== undefined) this.#joined.room.end(this.#joined.participant, known);
    this.#outlet?.end(known);
  }
}
