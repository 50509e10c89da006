/**
 * A map that can be forked: the fork sees its parent, writes beside it, and is merged into it or forgotten. So a batch
 * of messages is admitted one on top of another while the committed state stays as the log has it.
 */
export class Layer<V> {
  readonly #parent: Layer<V> | undefined;
  readonly #own = new Map<string, V | undefined>();

  private constructor(parent: Layer<V> | undefined) {
    this.#parent = parent;
  }

  static create<V>(): Layer<V> {
    return new Layer<V>(undefined);
  }

  fork(): Layer<V> {
    return new Layer<V>(this);
  }

  get(key: string): V | undefined {
    const own = this.#own.get(key);
    if (own !== undefined || this.#parent === undefined || this.#own.has(key)) return own;
    return this.#parent.get(key);
  }

  set(key: string, value: V): void {
    this.#own.set(key, value);
  }

  delete(key: string): void {
    if (this.#parent === undefined) this.#own.delete(key);
    else this.#own.set(key, undefined);
  }

  /** Writes what the fork holds into its parent. The fork is not used afterwards. */
  merge(): void {
    const parent = this.#parent;
    if (parent === undefined) throw new Error("only a fork can be merged");
    for (const [key, value] of this.#own) {
      if (value === undefined) parent.delete(key);
      else parent.set(key, value);
    }
  }

  /** In the order in which their keys first came in; one that was deleted meanwhile has no promised place. */
  *values(): Generator<V> {
    for (const [, value] of this.#entries()) yield value;
  }

  *#entries(): Generator<[string, V]> {
    const own = this.#own;
    const parent = this.#parent;
    if (parent !== undefined) {
      for (const entry of parent.#entries()) {
        const [key] = entry;
        const value = own.get(key);
        if (value !== undefined) yield [key, value];
        else if (!own.has(key)) yield entry;
      }
    }
    for (const [key, value] of own) if (value !== undefined && parent?.get(key) === undefined) yield [key, value];
  }
}
