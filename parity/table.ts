import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Asked } from "./arguments.ts";
import type { Outcome } from "./outcome.ts";

const file = fileURLToPath(new URL("../docs/parity.md", import.meta.url));

const intro = `# Every runtime does the same

Written by \`npm run parity -- --table\`, which starts the relay on each runtime as an operator does and speaks nothing but
the wire to it, by each protocol and carriage. A row stands for something that a client can see; a cell says on how many
ways it was seen to hold.
`;

const sumsOf = (outcomes: readonly Outcome[]): string => {
  const count = (kind: Outcome["kind"]) => outcomes.filter((one) => one.kind === kind).length;
  const had = outcomes.length - count("lacking");
  return had === 0 ? "-" : `${count("passed")} of ${had}`;
};

const lineOf = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;

/** The tables: runtime by row, and runtime by way, with the reasons for what there is not. */
export function tableOf({ runtimes, rows, ways }: Asked, outcomes: readonly Outcome[]): string {
  const of = (runtime: string, isOf: (outcome: Outcome) => boolean) =>
    outcomes.filter((one) => one.runtime === runtime && isOf(one));
  const heads = runtimes.map(({ name }) => name);
  const byRow = rows.map(({ name, says }) =>
    lineOf([name, ...heads.map((runtime) => sumsOf(of(runtime, ({ row }) => row === name))), says]),
  );
  const byWay = ways.map(({ name }) =>
    lineOf([name, ...heads.map((runtime) => sumsOf(of(runtime, ({ way }) => way === name)))]),
  );
  return [
    intro,
    lineOf(["row", ...heads, "what holds"]),
    lineOf(["---", ...heads.map(() => "---"), "---"]),
    ...byRow,
    "",
    "The ways, and how many rows were seen to hold on each:",
    "",
    lineOf(["way", ...heads]),
    lineOf(["---", ...heads.map(() => "---")]),
    ...byWay,
    "",
    "What there is not, and why:",
    "",
    ...reasonsOf(outcomes),
    "",
  ].join("\n");
}

/** A reason that holds for a way whatever the row is told once; one of a row, with its ways. */
function reasonsOf(outcomes: readonly Outcome[]): string[] {
  const groups = new Map<string, { rows: Set<string>; ways: Set<string>; runtimes: Set<string> }>();
  for (const { kind, says = "", row, way, runtime } of outcomes) {
    if (kind !== "lacking") continue;
    const group = groups.get(says) ?? { rows: new Set(), ways: new Set(), runtimes: new Set() };
    groups.set(says, group);
    group.rows.add(row);
    group.ways.add(way);
    group.runtimes.add(runtime);
  }
  const allRuntimes = new Set(outcomes.map(({ runtime }) => runtime)).size;
  const allRows = new Set(outcomes.map(({ row }) => row)).size;
  return [...groups].map(([says, { rows, ways, runtimes }]) => {
    const where = runtimes.size === allRuntimes ? "" : ` on ${[...runtimes].join(", ")}`;
    const what = rows.size === allRows ? "" : `${[...rows].join(", ")}: `;
    return `- ${what}${[...ways].join("; ")}${where}: ${says}.`;
  });
}

export function writeTable(asked: Asked, outcomes: readonly Outcome[]): void {
  writeFileSync(file, tableOf(asked, outcomes));
}
