import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import type { Change } from "../src/session/text.ts";

/** Somebody's typing of one file: transactions that apply one after the other, the first to the empty text. */
export interface Typing {
  readonly name: string;
  readonly transactions: readonly (readonly Change[])[];
  readonly endText: string;
}

const own = ["../src/session/sequencer.ts", "../src/relay/reader.ts"] as const;

/** Two source files of this repository, character by character, with the slips that a person makes. */
export function ownSources(): readonly Typing[] {
  return own.map((path) => {
    const text = readFileSync(new URL(path, import.meta.url), "utf8");
    return { name: basename(path), transactions: typeOut(text), endText: text };
  });
}

/** Every twentieth character is mistyped, seen, and taken back. */
function typeOut(text: string): readonly (readonly Change[])[] {
  const transactions: Change[][] = [];
  let at = 0;
  for (const character of text) {
    if (at % 20 === 19) {
      transactions.push([{ from: at, to: at, insert: "?" }], [{ from: at, to: at + 1, insert: "" }]);
    }
    transactions.push([{ from: at, to: at, insert: character }]);
    at += character.length;
  }
  return transactions;
}

const traceSchema = z.object({
  startContent: z.string(),
  endContent: z.string(),
  txns: z.array(z.object({ patches: z.array(z.tuple([z.number(), z.number(), z.string()])) })),
});

/**
 * Real histories: every `*.json.gz` of a folder, in the form of the public collection "editing-traces". The patches of a
 * transaction apply one after the other.
 */
export function readTraces(folder: string): readonly Typing[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".json.gz"));
  if (names.length === 0) throw new Error(`no *.json.gz in ${folder}`);
  return names.map((name) => {
    const trace = traceSchema.parse(JSON.parse(gunzipSync(readFileSync(join(folder, name))).toString("utf8")));
    if (trace.startContent !== "") throw new Error(`${name} does not begin with an empty text`);
    return {
      name: name.replace(/\.json\.gz$/, ""),
      transactions: trace.txns.map(({ patches }) =>
        patches.map(([from, deleted, insert]) => ({ from, to: from + deleted, insert })),
      ),
      endText: trace.endContent,
    };
  });
}
