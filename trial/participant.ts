import type { Client } from "@connectrpc/connect";
import { signDevelopmentToken } from "../src/auth/sign.ts";
import type { Carriage } from "../src/client/carriage.ts";
import { SessionConnection } from "../src/client/session-connection.ts";
import { type CodeReviewService, TokenStatus_State as TokenState } from "../src/gen/codereview/v1/codereview_pb.ts";
import { SessionClient } from "../src/session/client/client.ts";
import type { ClientEvent } from "../src/session/client/effects.ts";
import { readRecords } from "./log.ts";

export interface ParticipantOptions {
  readonly name: string;
  readonly session: string;
  readonly secret: Uint8Array;
  readonly carriage: Carriage;
  /** Reads the log for it. */
  readonly reader: Client<typeof CodeReviewService>;
  readonly tokenTtlSeconds: number;
}

/** Somebody in the session, with a count of what happened to them. */
export class Participant {
  readonly name: string;
  readonly machine: SessionClient;
  readonly connection: SessionConnection<SessionClient, ClientEvent>;
  /** Numbers that were acked, under which client id, and at which seq. */
  readonly acked: { readonly clientId: string; readonly clientSeq: number; readonly seq: number }[] = [];
  readonly counts = { resumed: 0, resynced: 0, rotated: 0, refused: 0, uncertain: 0, lostFiles: 0, protocolErrors: 0 };
  readonly #listeners: ((event: ClientEvent) => void)[] = [];
  /** Under which it sent what it is told of now. */
  #clientId: string;

  constructor({ name, session, secret, carriage, reader, tokenTtlSeconds }: ParticipantOptions) {
    this.name = name;
    this.#clientId = `${name}-1`;
    this.machine = new SessionClient({ sessionId: session, clientId: this.#clientId, clientName: "trial/1" });
    const scope = "session:edit session:comment session:custom";
    const token = () =>
      signDevelopmentToken(secret, { sub: name, sessions: [session], scope, ttlSeconds: tokenTtlSeconds }, Date.now());
    let ids = 1;
    this.connection = new SessionConnection({
      machine: this.machine,
      carriage,
      token,
      readTail: (fromSeq, jwt) => readRecords(reader, session, jwt, fromSeq),
      newClientId: () => {
        const next = `${name}-${++ids}`;
        // What is told in the same turn was sent under the one before, and was found in the log.
        queueMicrotask(() => {
          this.#clientId = next;
        });
        return next;
      },
      onEvent: (event) => this.#heard(event),
    });
  }

  listen(listener: (event: ClientEvent) => void): void {
    this.#listeners.push(listener);
  }

  #heard(event: ClientEvent): void {
    switch (event.kind) {
      case "welcome":
        if (event.welcome.outcome === 2) this.counts.resumed += 1;
        if (event.welcome.outcome === 3) this.counts.resynced += 1;
        break;
      case "acked":
        this.acked.push({ clientId: this.#clientId, clientSeq: event.clientSeq, seq: event.seq });
        break;
      case "token-status":
        if (event.status.state === TokenState.ACCEPTED) this.counts.rotated += 1;
        break;
      case "refused":
        this.counts.refused += 1;
        break;
      case "uncertain":
        this.counts.uncertain += 1;
        break;
      case "lost-file":
        this.counts.lostFiles += 1;
        break;
      case "protocol-error":
        this.counts.protocolErrors += 1;
        console.error(`${this.name}: ${event.message}`);
        break;
      default:
        break;
    }
    for (const listener of this.#listeners) listener(event);
  }
}
