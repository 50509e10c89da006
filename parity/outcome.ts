/** What became of one row on one way of one runtime. */
export interface Outcome {
  readonly runtime: string;
  readonly way: string;
  readonly row: string;
  readonly kind: "passed" | "failed" | "lacking";
  /** What is wrong, or why there is no such row. */
  readonly says?: string;
  readonly ms?: number;
}

const marks = { passed: "ok  ", failed: "FAIL", lacking: "-   " } as const;

export function lineOf({ runtime, way, row, kind, says, ms }: Outcome): string {
  const what = `${marks[kind]} ${runtime.padEnd(8)} ${way.padEnd(20)} ${row}`;
  return `${what}${ms === undefined ? "" : ` (${Math.round(ms)} ms)`}${says === undefined ? "" : `: ${says}`}`;
}
