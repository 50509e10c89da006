/** What is not logged: a cursor, presence, a custom message that says so. */
export interface Ephemeral {
  readonly frame: Uint8Array;
  readonly sender: string;
  /** Its place in the ring. */
  readonly index: number;
}

/** Custom types that one client may have a newest message of; of more, the oldest is forgotten. */
const maxSlotsPerClient = 32;

/**
 * The newest message of each client and kind: what a reader that skips a part of the ring gets of it. So it misses
 * nothing that still holds, and costs no queue.
 */
export class Ephemerals {
  readonly #bySender = new Map<string, Map<string, Ephemeral>>();

  /** `slot` names what it replaces: "cursor", "presence", "custom:<type>". */
  put(slot: string, ephemeral: Ephemeral): void {
    const slots = this.#bySender.get(ephemeral.sender) ?? new Map<string, Ephemeral>();
    this.#bySender.set(ephemeral.sender, slots);
    slots.delete(slot);
    slots.set(slot, ephemeral);
    if (slots.size > maxSlotsPerClient) {
      const oldest = slots.keys().next();
      if (!oldest.done) slots.delete(oldest.value);
    }
  }

  /** Those that went into the ring in [from, to), in that order, without what `exceptSender` sent. */
  between(from: number, to: number, exceptSender: string): readonly Uint8Array[] {
    if (from >= to) return [];
    const found: Ephemeral[] = [];
    for (const [sender, slots] of this.#bySender) {
      if (sender === exceptSender) continue;
      for (const ephemeral of slots.values()) {
        if (ephemeral.index >= from && ephemeral.index < to) found.push(ephemeral);
      }
    }
    return found.sort((a, b) => a.index - b.index).map(({ frame }) => frame);
  }

  /** Forgets those before `index`: nobody will skip them any more. */
  forgetBefore(index: number): void {
    for (const [sender, slots] of this.#bySender) {
      for (const [slot, ephemeral] of slots) if (ephemeral.index < index) slots.delete(slot);
      if (slots.size === 0) this.#bySender.delete(sender);
    }
  }
}
