/**
 * A bounded list that grows at its newest end and is shared between a state and its forks. Nothing in it ever changes,
 * so whatever a fork appends, and whether it is merged or forgotten, the others keep what they had. It comes in two
 * generations: when the newer one holds `keep` items it becomes the older one, and what was the older one goes. So at
 * least the newest `keep` are held, and at most twice as many.
 */
export interface Trail<T> {
  readonly newer: Link<T>;
  /** Items in `newer`. */
  readonly count: number;
  readonly older: Link<T> | undefined;
}

interface Link<T> {
  readonly item: T;
  readonly next: Link<T> | undefined;
}

export function appendToTrail<T>(trail: Trail<T> | undefined, item: T, keep: number): Trail<T> {
  if (trail === undefined) return { newer: { item, next: undefined }, count: 1, older: undefined };
  if (trail.count >= keep) return { newer: { item, next: undefined }, count: 1, older: trail.newer };
  return { newer: { item, next: trail.newer }, count: trail.count + 1, older: trail.older };
}

/** Newest first. */
export function* walkTrail<T>(trail: Trail<T> | undefined): Generator<T> {
  for (let link = trail?.newer; link !== undefined; link = link.next) yield link.item;
  for (let link = trail?.older; link !== undefined; link = link.next) yield link.item;
}
