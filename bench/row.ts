/** One figure of the table. */
export interface Row {
  readonly name: string;
  /** Undefined: not measured; `note` says why. */
  readonly value: number | undefined;
  readonly unit: string;
  /** What is wanted, in the same unit: at most this, or at least. */
  readonly goal?: { readonly atMost: number } | { readonly atLeast: number };
  /** What the figure is read beside, measured in the same run. */
  readonly peer?: { readonly name: string; readonly value: number };
  /** Says under which conditions: sizes, spread, what else was seen. */
  readonly note?: string;
}

/** A part of the bench: `npm run bench -- <name>` runs it alone. */
export interface Part {
  readonly name: string;
  /** What it measures, in a line. */
  readonly summary: string;
  readonly rows: (options: BenchOptions) => Promise<readonly Row[]>;
}

/** What the command line may say to the parts. */
export interface BenchOptions {
  /** Folder with real editing histories; undefined: made-up typing. */
  readonly traces?: string | undefined;
  /** On the disk that durable appends are measured on; undefined: the system's folder for temporary files. */
  readonly folder?: string | undefined;
}

const rounds = 5;

/** Five rounds of each way, in turn, so that what else the machine does falls on all of them alike. */
export async function inTurn<K extends string>(
  ways: Readonly<Record<K, () => Promise<number>>>,
): Promise<(name: K) => readonly number[]> {
  const entries: readonly [string, () => Promise<number>][] = Object.entries(ways);
  const values = new Map<string, number[]>(entries.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of entries) values.get(name)?.push(await way());
  }
  return (name) => values.get(name) ?? [];
}

/** Of an odd number the middle one, of an even number the mean of the middle two. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? Number.NaN;
  const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** The smallest value that `share` (0 to 1) of all values do not exceed. NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** `0.42-0.55`: the least and the greatest. */
export function spread(values: readonly number[]): string {
  return `${number(Math.min(...values))}-${number(Math.max(...values))}`;
}

export function number(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3).replace(/\.?0+$/, "");
}

/** Peer / value: how many times less than the peer, or more where more is better. */
export function ratio({ value, unit, peer }: Row): number | undefined {
  if (value === undefined || peer === undefined) return undefined;
  return unit.endsWith("/s") ? value / peer.value : peer.value / value;
}

/** The table for people, notes below their rows. */
export function formatTable(rows: readonly Row[]): string {
  const lines = rows.map((row) => [
    row.name,
    row.value === undefined ? "-" : `${number(row.value)} ${row.unit}`,
    goalText(row),
    row.peer === undefined ? "" : `${number(row.peer.value)} (${row.peer.name})`,
    ratioText(row),
  ]);
  const table = [["", "measured", "goal", "beside", "ratio"], ...lines];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const format = (line: readonly string[]) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [
    format(table[0] ?? []),
    ...lines.flatMap((line, index) => {
      const note = rows[index]?.note;
      return note === undefined ? [format(line)] : [format(line), `    ${note}`];
    }),
  ].join("\n");
}

function goalText({ goal, value, unit }: Row): string {
  if (goal === undefined) return "";
  const [sign, bound] = "atMost" in goal ? ["<=", goal.atMost] : [">=", goal.atLeast];
  if (value === undefined) return `${sign} ${number(bound)} ${unit}`;
  const reached = "atMost" in goal ? value <= bound : value >= bound;
  return `${sign} ${number(bound)} ${reached ? "ok" : "MISSED"}`;
}

function ratioText(row: Row): string {
  const value = ratio(row);
  return value === undefined ? "" : `${number(value)}x`;
}
