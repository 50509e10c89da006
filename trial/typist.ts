import { ChangeSet } from "@codemirror/state";
import type { SessionConnection } from "../src/client/session-connection.ts";
import type { SessionClient } from "../src/session/client/client.ts";
import type { ClientEvent } from "../src/session/client/effects.ts";
import { type Change, lineBreak } from "../src/session/text.ts";
import type { Typing } from "./texts.ts";

/**
 * Types one text into a region of a file that others type into as well. It looks at nothing but what its own client
 * displays; where its region begins, it knows from the changes that it is told.
 */
export class Typist {
  readonly path: string;
  readonly #typing: Typing;
  #start: number;
  #next = 0;

  constructor(path: string, typing: Typing, start: number) {
    this.path = path;
    this.#typing = typing;
    this.#start = start;
  }

  get done(): boolean {
    return this.#next === this.#typing.transactions.length;
  }

  /** The client was told of something. */
  heard(event: ClientEvent): void {
    if (event.kind === "text" && event.path === this.path) this.#start = event.changes.mapPos(this.#start, 1);
  }

  /** Types one transaction; its patches are one change of the text. */
  type(connection: SessionConnection<SessionClient, ClientEvent>, machine: SessionClient): void {
    const text = machine.text(this.path);
    const patches = this.#typing.transactions[this.#next];
    if (text === undefined || patches === undefined) throw new Error(`nothing to type into ${this.path}`);
    const changes = patches.map((patch) => this.#shift(patch));
    const first = ChangeSet.of([], text.length, lineBreak);
    const composed = changes.reduce(
      (all, change) => all.compose(ChangeSet.of(change, all.newLength, lineBreak)),
      first,
    );
    this.#next += 1;
    connection.act((client) => client.edit(this.path, composed));
  }

  #shift({ from, to, insert }: Change): Change {
    return { from: from + this.#start, to: to + this.#start, insert };
  }
}
