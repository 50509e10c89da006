/** A number for each name of a closed list, from 0 on. */
export class Counts<Name extends string> {
  readonly #counts: Map<Name, number>;

  constructor(names: readonly Name[]) {
    this.#counts = new Map(names.map((name) => [name, 0]));
  }

  add(name: Name): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  get(name: Name): number {
    return this.#counts.get(name) ?? 0;
  }

  get entries(): IterableIterator<[Name, number]> {
    return this.#counts.entries();
  }
}
