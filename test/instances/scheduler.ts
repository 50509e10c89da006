/** Whole numbers below `below`; a run is its seed. */
export type Pick = (below: number) => number;

interface Due {
  readonly step: number;
  readonly order: number;
  readonly run: () => void;
}

/** What is on its way, by the step in which it arrives. */
export class Scheduler {
  readonly pick: Pick;
  readonly #longestDelay: number;
  #due: Due[] = [];
  #step = 0;
  #order = 0;

  constructor(random: () => number, longestDelay: number) {
    this.pick = (below) => Math.floor(random() * below);
    this.#longestDelay = longestDelay;
  }

  get isEmpty(): boolean {
    return this.#due.length === 0;
  }

  chance(chance: number): boolean {
    return this.pick(1_000_000) < chance * 1_000_000;
  }

  /** Runs it in one of the next steps. */
  later(run: () => void): void {
    this.#order += 1;
    this.#due.push({ step: this.#step + this.pick(this.#longestDelay + 1), order: this.#order, run });
  }

  /** One step: what is due arrives. */
  advance(): void {
    this.#step += 1;
    const due = this.#due.filter(({ step }) => step < this.#step);
    this.#due = this.#due.filter(({ step }) => step >= this.#step);
    for (const { run } of due.sort((a, b) => a.step - b.step || a.order - b.order)) run();
  }
}
