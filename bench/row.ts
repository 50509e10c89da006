import { number } from "../src/cli/bench/statistics.ts";
import type { RuntimeName } from "../src/runtime/this-runtime.ts";

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

export const logKinds = ["memory", "sqlite"] as const;
export type LogKind = (typeof logKinds)[number];

/** What the command line may say to the parts. */
export interface BenchOptions {
  readonly runtimes: readonly RuntimeName[];
  readonly logs: readonly LogKind[];
  /** Of each server, in turn; the median of them is the figure. */
  readonly runs: number;
  /** fanout, redis: of its loads those with this in their name; undefined: all. */
  readonly only?: string | undefined;
  /** Folder with real editing histories; undefined: made-up typing. */
  readonly traces?: string | undefined;
  /** On the disk that SQLite is measured on; undefined: the system's folder for temporary files. */
  readonly folder?: string | undefined;
}

/** One way to run the relay. */
export interface RelayVariant {
  readonly runtime: RuntimeName;
  readonly log: LogKind;
}

export function relayVariants({ runtimes, logs }: BenchOptions): readonly RelayVariant[] {
  return runtimes.flatMap((runtime) => logs.map((log) => ({ runtime, log })));
}

const names = { bun: "Bun", node: "Node", deno: "Deno", memory: "memory log", sqlite: "SQLite log" } as const;
export const nameOf = (what: keyof typeof names): string => names[what];
export const variantTitle = ({ runtime, log }: RelayVariant): string => `${nameOf(runtime)}, ${nameOf(log)}`;

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
