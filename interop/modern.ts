import { ChangeSet } from "@codemirror/state";
import type { Carriage } from "../src/client/carriage.ts";
import { SessionConnection } from "../src/client/session-connection.ts";
import type { SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import { Welcome_Outcome as Outcome } from "../src/gen/codereview/v1/codereview_pb.ts";
import { SessionClient } from "../src/session/client/client.ts";
import type { ClientEvent } from "../src/session/client/effects.ts";
import { lineBreak } from "../src/session/text.ts";
import { firstText, type Person, path } from "./person.ts";
import { compare, type Seen, watch } from "./watched.ts";

export interface ModernOptions {
  readonly name: string;
  readonly user: string;
  readonly session: string;
  readonly token: () => Promise<string>;
  readonly carriage: Carriage;
  readonly random: () => number;
  readonly close?: () => void;
}

/** Somebody whose client is the machine of this repository, by one carriage or another. */
export class ModernPerson implements Person {
  readonly name: string;
  readonly canResume = true;
  resumed = 0;
  readonly #options: ModernOptions;
  readonly #machine: SessionClient;
  readonly #connection: SessionConnection<SessionClient, ClientEvent>;
  readonly #seen: Seen[] = [];
  readonly #faults: string[] = [];
  readonly #live = Promise.withResolvers<void>();

  constructor(options: ModernOptions) {
    const { name, user, session, token, carriage } = options;
    this.name = name;
    this.#options = options;
    this.#machine = new SessionClient({ sessionId: session, clientId: user, clientName: "interop/1" });
    this.#connection = new SessionConnection({
      machine: this.#machine,
      carriage: watch(carriage, this.#seen),
      token,
      readTail: () => Promise.reject(new Error("nobody takes its place")),
      newClientId: () => `${user}-2`,
      onEvent: (event) => this.#heard(event),
    });
    void this.#connection.stopped.then((stop) => {
      if (stop.kind !== "closed")
        this.#live.reject(new Error(`${name} was refused: ${stop.end.fault?.reason} ${stop.end.message}`));
    });
  }

  async join(): Promise<void> {
    this.#connection.open();
    await this.#live.promise;
  }

  /** Makes the file that all edit. */
  begin(): void {
    this.#connection.act((machine) => machine.createFile(path, firstText));
  }

  act(n: number): void {
    const text = this.#machine.text(path);
    const { user, random } = this.#options;
    if (text === undefined) throw new Error(`${this.name} does not see the file`);
    const line = text.line(1 + Math.floor(random() * text.lines));
    if (n % 5 === 0) {
      const comment = { id: `${user}-${n}`, path, line: line.number, text: `${user} at ${n}` };
      this.#connection.act((machine) => machine.putComment(comment));
      return;
    }
    // Nothing is removed: a client of the original contract could not be told so.
    const change =
      n % 3 === 0
        ? { from: text.length, insert: `\n${user} ${n}` }
        : { from: line.from + Math.floor(random() * (line.length + 1)), insert: `<${user} ${n}>` };
    this.#connection.act((machine) => machine.edit(path, ChangeSet.of(change, text.length, lineBreak)));
  }

  cut(): void {
    this.#connection.interrupt();
  }

  hasAll(head: number): boolean {
    return this.#machine.phase.kind === "live" && this.#machine.lastSeq === head && this.#machine.settled;
  }

  text(): string | undefined {
    return this.#machine.text(path)?.toString();
  }

  isOwn({ userId }: { readonly userId: string }): boolean {
    return userId === this.#options.user;
  }

  get told(): number {
    return this.#seen.length;
  }

  faults(log: readonly SessionMessage[]): readonly string[] {
    return [...this.#faults, ...compare(this.#seen, log)];
  }

  async leave(): Promise<void> {
    this.#connection.close(1_000);
    await this.#connection.stopped;
    this.#options.close?.();
  }

  #heard(event: ClientEvent): void {
    switch (event.kind) {
      case "live":
        this.#live.resolve();
        break;
      case "welcome":
        if (event.welcome.outcome === Outcome.RESUMED) this.resumed += 1;
        if (event.welcome.outcome === Outcome.RESYNCED) this.#faults.push("it was resynced");
        break;
      case "refused":
        this.#faults.push(`it was refused ${event.reason}`);
        break;
      case "uncertain":
      case "lost-file":
        this.#faults.push(`it was told ${event.kind}`);
        break;
      case "protocol-error":
        this.#faults.push(event.message);
        break;
      case "fault":
        this.#faults.push(`it was told ${event.fault.reason}`);
        break;
      default:
        break;
    }
  }
}
