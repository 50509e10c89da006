/**
 * A bounded list that grows at its newest end and is shared between a state and its forks: appending makes a new head
 * and changes nothing, so that a fork is forgotten by forgetting its head. At least the newest `keep` items are held,
 * and at most a quarter more.
 */
export interface Trail<T> {
  readonly item: T;
  /** How many were ever appended, this one included. */
  readonly count: number;
  older: Trail<T> | undefined;
}

export function appendToTrail<T>(trail: Trail<T> | undefined, item: T, keep: number): Trail<T> {
  const grown: Trail<T> = { item, count: (trail?.count ?? 0) + 1, older: trail };
  const slack = Math.max(1, keep >> 2);
  // The cut is made behind what anybody may look at, so it is safe although forks share the tail.
  if (grown.count % slack === 0) {
    let last: Trail<T> | undefined = grown;
    for (let i = 1; i < keep && last !== undefined; i++) last = last.older;
    if (last !== undefined) last.older = undefined;
  }
  return grown;
}

/** Newest first. */
export function* walkTrail<T>(trail: Trail<T> | undefined): Generator<T> {
  for (let node = trail; node !== undefined; node = node.older) yield node.item;
}
