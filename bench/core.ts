/**
 * Edits a second through the pure core on one file: admission, with and without the encoding of the record, and the
 * floor beside it, `ChangeSet.of` and `apply` alone, on the same edits in the same run. Single characters, in order.
 *
 *   bun bench/core.ts [--traces DIR] [--rounds N]
 *
 * DIR holds real editing histories (`*.json.gz` of the public collection "editing-traces"); without it, synthetic
 * typing. Of the rounds the best counts: the others tell of the machine.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { ChangeSet, Text } from "@codemirror/state";
import { z } from "zod";
import { CodeEditSchema, SessionMessageSchema } from "../src/gen/codereview/v1/codereview_pb.ts";
import { admit, hashPayload, type LoggedPayload } from "../src/session/admit.ts";
import { defaultLimits } from "../src/session/limits.ts";
import { Sequencer } from "../src/session/sequencer.ts";
import { emptyState, type SessionState } from "../src/session/state.ts";
import { textContent } from "../src/session/text.ts";

interface Edit {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
}

interface Trace {
  readonly name: string;
  readonly start: string;
  /** Undefined: not known beforehand. */
  readonly end: string | undefined;
  readonly edits: readonly Edit[];
}

const traceFile = z.object({
  startContent: z.string(),
  endContent: z.string(),
  txns: z.array(z.object({ patches: z.array(z.tuple([z.number(), z.number(), z.string()])) })),
});

function readTraces(folder: string): Trace[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json.gz"))
    .map((name) => {
      const { startContent, endContent, txns } = traceFile.parse(
        JSON.parse(gunzipSync(readFileSync(join(folder, name))).toString("utf8")),
      );
      const edits = txns.flatMap(({ patches }) =>
        patches.map(([from, deleted, insert]) => ({ from, to: from + deleted, insert })),
      );
      return { name: name.replace(".json.gz", ""), start: startContent, end: endContent, edits };
    });
}

/** Runs of typing at places that jump about, lines of some 40 characters, a fifth of it taken back. */
function synthesize(count: number): Trace {
  const start = "const answer = 42;\n".repeat(500);
  const edits: Edit[] = [];
  let length = start.length;
  let at = 0;
  let seed = 1;
  const below = (bound: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 4294967296) * bound);
  };
  for (let n = 0; n < count; n++) {
    if (n % 30 === 0) at = below(length + 1);
    const takesBack = n % 5 === 4 && at > 0;
    edits.push(takesBack ? { from: at - 1, to: at, insert: "" } : { from: at, to: at, insert: n % 40 ? "x" : "\n" });
    at += takesBack ? -1 : 1;
    length += takesBack ? -1 : 1;
  }
  return { name: "synthetic", start, end: undefined, edits };
}

const userId = "ann";
const clientId = "tab";
const filePath = "main.ts";

function payloads({ start, edits }: Trace): LoggedPayload[] {
  const all = [{ from: 0, to: 0, insert: start }, ...edits];
  return all.map((change, version) => ({
    case: "edit",
    value: create(CodeEditSchema, { filePath, version, changes: [change] }),
  }));
}

function submit(payload: LoggedPayload, index: number) {
  const payloadHash = hashPayload(payload);
  return { userId, clientId, generation: 1, clientSeq: index + 1, payload, payloadHash, isAdmin: false };
}

const limits = { ...defaultLimits, editBytes: Number.MAX_SAFE_INTEGER };

/** Each way takes the edits and returns the text that they make. */
const ways: Readonly<Record<string, (trace: Trace, sent: readonly LoggedPayload[]) => string>> = {
  "floor: ChangeSet.of and apply": ({ start, edits }) => {
    let text = Text.of(start.split("\n"));
    for (const change of edits) text = ChangeSet.of(change, text.length, "\n").apply(text);
    return textContent(text);
  },
  admit: (_, sent) => {
    const state = emptyState("bench", "e");
    sent.forEach((payload, index) => {
      const { kind } = admit(state, submit(payload, index), 1_700_000_000_000, limits);
      if (kind !== "admitted") throw new Error(`${kind} at ${index}`);
    });
    return content(state);
  },
  "admit, encode": (_, sent) => {
    const state = emptyState("bench", "e");
    sent.forEach((payload, index) => {
      const result = admit(state, submit(payload, index), 1_700_000_000_000, limits);
      if (result.kind !== "admitted") throw new Error(`${result.kind} at ${index}`);
      toBinary(SessionMessageSchema, result.message);
    });
    return content(state);
  },
  "sequencer, batches of 32, encode": (_, sent) => {
    const queue = new Sequencer<number>(emptyState("bench", "e"), limits);
    const append = () => {
      for (const { message } of queue.next(1_700_000_000_000).batch?.records ?? []) {
        toBinary(SessionMessageSchema, message);
      }
      queue.appended();
    };
    sent.forEach((payload, index) => {
      queue.submit({ origin: index, submission: submit(payload, index), bytes: 64 });
      if (index % 32 === 31) append();
    });
    if (!queue.idle) append();
    return content(queue.state);
  },
};

function content(state: SessionState): string {
  const file = state.files.get(filePath);
  return file === undefined ? "" : textContent(file.text);
}

const { values } = parseArgs({ options: { traces: { type: "string" }, rounds: { type: "string", default: "5" } } });
const traces = values.traces === undefined ? [synthesize(20_000)] : readTraces(values.traces);

for (const trace of traces) {
  const sent = payloads(trace);
  const expected = trace.end ?? ways["floor: ChangeSet.of and apply"]?.(trace, sent);
  const bestMs = new Map<string, number>();
  // Round by round, so that what else the machine does falls on all of them alike.
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, way] of Object.entries(ways)) {
      const startedMs = performance.now();
      const made = way(trace, sent);
      bestMs.set(name, Math.min(bestMs.get(name) ?? Number.POSITIVE_INFINITY, performance.now() - startedMs));
      if (made !== expected) throw new Error(`${name} made another text of ${trace.name}`);
    }
  }
  for (const [name, ms] of bestMs) {
    const perSecond = Math.round((trace.edits.length / ms) * 1000);
    console.log(`${trace.name.padEnd(16)} ${name.padEnd(34)} ${perSecond.toLocaleString("en").padStart(9)} edits/s`);
  }
}
