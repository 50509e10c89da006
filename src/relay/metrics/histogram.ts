/** How often something took how much, in plain numbers: to observe costs some nanoseconds, a look at it is the scrape's. */
export class Histogram {
  /** Upper bounds, ascending; beyond the last there is one more bucket. */
  readonly bounds: readonly number[];
  /** Of each bucket alone, not of those below it. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (value > (this.bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }
}
