/** What is not logged: a cursor, presence, a custom message that says so. */
export interface Ephemeral {
  readonly frame: Uint8Array;
  readonly sender: string;
  /** Its place in the ring. */
  readonly index: number;
}

/**
 * The newest message of each client and kind: what a reader that skips a part of the ring gets of it. So it misses
 * nothing that still holds, and costs no queue. Of many and large ones the oldest are forgotten: `custom` messages beyond
 * `maxBytes`, and, apart from them, cursors and presence, which are some hundred bytes each.
 */
export class Ephemerals {
  readonly #shown: Newest;
  readonly #custom: Newest;

  constructor(maxBytes: number) {
    this.#shown = new Newest(maxBytes);
    this.#custom = new Newest(maxBytes);
  }

  /** `slot` names what it replaces: "cursor", "presence", "custom:<type>". */
  put(slot: string, ephemeral: Ephemeral): void {
    const newest = slot.startsWith("custom:") ? this.#custom : this.#shown;
    newest.put(`${ephemeral.sender}\n${slot}`, ephemeral);
  }

  /** Those that went into the ring in [from, to), in that order, without what `exceptSender` sent. */
  between(from: number, to: number, exceptSender: string): readonly Ephemeral[] {
    if (from >= to) return [];
    return [...this.#shown.values(), ...this.#custom.values()]
      .filter(({ index, sender }) => index >= from && index < to && sender !== exceptSender)
      .sort((a, b) => a.index - b.index);
  }

  /** Forgets those before `index`: everybody has been told of them. */
  forgetBefore(index: number): void {
    this.#shown.forgetBefore(index);
    this.#custom.forgetBefore(index);
  }
}

/** What one entry takes beside its frame: its key and its place. */
const entryBytes = 256;

/** The newest of each key, the oldest first. */
class Newest {
  readonly #byKey = new Map<string, Ephemeral>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  values(): IterableIterator<Ephemeral> {
    return this.#byKey.values();
  }

  put(key: string, ephemeral: Ephemeral): void {
    this.#forget(key);
    this.#byKey.set(key, ephemeral);
    this.#bytes += entryBytes + ephemeral.frame.length;
    for (const oldest of this.#byKey.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#forget(oldest);
    }
  }

  forgetBefore(index: number): void {
    for (const [key, ephemeral] of this.#byKey) {
      if (ephemeral.index >= index) break;
      this.#forget(key);
    }
  }

  #forget(key: string): void {
    const present = this.#byKey.get(key);
    if (present === undefined) return;
    this.#byKey.delete(key);
    this.#bytes -= entryBytes + present.frame.length;
  }
}
