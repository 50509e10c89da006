import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { readTail } from "../client/read-tail.ts";
import { type Interruption, SessionConnection, type Stop, type TokenSource } from "../client/session-connection.ts";
import { PresenceUpdate_Status as Status } from "../gen/codereview/v1/codereview_pb.ts";
import { readVersion } from "../runtime/version.ts";
import { SessionClient } from "../session/client/client.ts";
import type { ClientEvent } from "../session/client/effects.ts";
import { isRefusal } from "../session/refusal.ts";
import { endLine, isHopeless } from "./describe-stop.ts";
import { act, type Doing, refusedLine, showFile } from "./join-act.ts";
import type { JoinEvent } from "./join-event.ts";
import { translate } from "./join-translate.ts";
import { type CarriageKind, carriageTo, createRelayClient } from "./relay-transport.ts";

export interface ParticipantOptions {
  readonly session: string;
  readonly url: string;
  readonly carriage: CarriageKind;
  readonly clientId?: string | undefined;
  readonly displayName?: string | undefined;
  readonly token: TokenSource;
  readonly tell: (event: JoinEvent) => void;
}

/** How long the relay may take to answer a goodbye. */
const goodbyeMs = 3_000;
/** How often it is looked whether everything is acked, and whether the queue has room. */
const lookMs = 20;
/** Comments and messages that may wait here at once; edits of a file become one while they wait. */
const maxWaiting = 1_000;

/** Somebody in a session, for a terminal: what is to be done goes in, what happens comes out as `JoinEvent`s. */
export class Participant {
  readonly #options: ParticipantOptions;
  readonly #client: SessionClient;
  readonly #connection: SessionConnection<SessionClient, ClientEvent>;
  readonly #lived = Promise.withResolvers<void>();
  /** Comments and messages that were neither acked nor refused. */
  #waiting = 0;
  #isOver = false;

  constructor(options: ParticipantOptions) {
    const { session, url, carriage, clientId = randomUUID(), token } = options;
    this.#options = options;
    this.#client = new SessionClient({ sessionId: session, clientId, clientName: `baton-cli/${readVersion()}` });
    this.#connection = new SessionConnection({
      machine: this.#client,
      carriage: carriageTo(url, carriage),
      token,
      readTail: (fromSeq, jwt) => readTail(createRelayClient(url), { session, fromSeq, token: jwt }),
      newClientId: randomUUID,
      onEvent: (event, cause) => {
        this.#count(event);
        const line = translate(this.#client, event, cause);
        if (line !== undefined) options.tell(line);
        if (event.kind === "live") this.#enter();
      },
      onReconnect: (attempt, waitMs, interruption) => this.#reconnecting(attempt, waitMs, interruption),
    });
  }

  /** Resolves when nothing goes on. */
  get stopped(): Promise<Stop> {
    return this.#connection.stopped;
  }

  /** Resolves when it was up to date for the first time: before that nobody knows what an edit would stand on. */
  get lived(): Promise<void> {
    return this.#lived.promise;
  }

  open(): void {
    this.#connection.open();
    void this.stopped.then(() => {
      this.#isOver = true;
    });
  }

  /** Does it to what is displayed, as soon as there is room for more. */
  async do(doing: Doing): Promise<void> {
    while (this.#waiting >= maxWaiting && !this.#isOver) await delay(lookMs);
    const effects = act(this.#client, doing, randomUUID);
    if (isRefusal(effects)) {
      this.#options.tell(refusedLine(effects, doing));
      return;
    }
    if (isQueued(doing)) this.#waiting += 1;
    this.#connection.act(() => effects);
  }

  show(path: string): void {
    this.#options.tell(showFile(this.#client, path));
  }

  files(): void {
    this.#options.tell({ event: "files", files: [...this.#client.paths()] });
  }

  /** False: there is no other token to be had. */
  rotate(): Promise<boolean> {
    return this.#connection.rotateToken();
  }

  /** Waits until the log has all that was done here, or nothing goes on, or the signal comes. */
  async settled(signal?: AbortSignal): Promise<boolean> {
    while (!this.#client.settled && !this.#isOver && signal?.aborted !== true) await delay(lookMs);
    return this.#client.settled;
  }

  /** Says goodbye and ends the stream. */
  async leave(): Promise<void> {
    this.#connection.act((client) => client.presence(Status.LEFT));
    this.#connection.close(goodbyeMs);
    await this.stopped;
    this.#options.tell({ event: "left", settled: this.#client.settled });
  }

  #enter(): void {
    this.#lived.resolve();
    const { displayName } = this.#options;
    if (displayName === undefined) return;
    queueMicrotask(() => this.#connection.act((client) => client.presence(Status.ACTIVE, displayName)));
  }

  #count(event: ClientEvent): void {
    switch (event.kind) {
      case "acked":
      case "refused":
      case "uncertain":
        if (event.payload.case !== "edit") this.#waiting = Math.max(0, this.#waiting - 1);
        return;
      default:
        return;
    }
  }

  #reconnecting(attempt: number, waitMs: number, interruption: Interruption): boolean {
    if (isHopeless(interruption)) return false;
    this.#options.tell({ event: "reconnecting", attempt, waitMs, ...endLine(interruption.end) });
    return true;
  }
}

function isQueued(doing: Doing): boolean {
  switch (doing.kind) {
    case "comment":
    case "rewrite":
    case "resolve":
    case "uncomment":
      return true;
    case "custom":
      return !doing.value.ephemeral;
    default:
      return false;
  }
}
