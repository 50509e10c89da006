import process from "node:process";

/** What may wait for whoever reads stdout, in bytes. */
const maxWaitingBytes = 64 * 1024 * 1024;

/** JSON escapes the controls of C0 by itself; these are obeyed by a terminal too. */
const alsoObeyed = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** JSON as a line that may be shown in a terminal. It reads as the same value. */
export const jsonLine = (json: string): string =>
  json.replace(alsoObeyed, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Prints to stdout; told once when it is not read, or has gone. */
export class Output {
  readonly #onBroken: () => void;
  #isBroken = false;

  constructor(onBroken: () => void) {
    this.#onBroken = onBroken;
    process.stdout.on("error", () => this.#break());
  }

  line(text: string): void {
    if (this.#isBroken) return;
    process.stdout.write(`${text}\n`);
    if (process.stdout.writableLength > maxWaitingBytes) this.#break();
  }

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    if (this.#isBroken || !process.stdout.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      const go = () => {
        process.stdout.off("drain", go);
        process.stdout.off("error", go);
        resolve();
      };
      process.stdout.on("drain", go);
      process.stdout.on("error", go);
    });
  }

  /** Resolves when all is written that can be. */
  async flushed(): Promise<void> {
    if (this.#isBroken) return;
    await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
  }

  #break(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#onBroken();
  }
}

/** Whether a person sits at both ends. */
export const isTerminal = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;
