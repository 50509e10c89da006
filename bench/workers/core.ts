// Edits of one file through the core, and through the whole path into the memory log. Arguments: rounds, and a folder
// with real editing histories.
import process from "node:process";
import { create, toBinary } from "@bufbuild/protobuf";
import { ChangeSet, Text } from "@codemirror/state";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { CodeEditSchema, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { Meters } from "../../src/relay/metrics/meters.ts";
import { Pipeline } from "../../src/relay/pipeline.ts";
import { admit, hashPayload, type LoggedPayload } from "../../src/session/admit.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { emptyState, type SessionState } from "../../src/session/state.ts";
import { textContent } from "../../src/session/text.ts";
import { readTraces, synthesizeTrace, type Trace } from "../traces.ts";
import { inTurn, print } from "./worker.ts";

const [rounds, folder] = process.argv.slice(2);
const key = { userId: "ann", clientId: "tab" };
const filePath = "main.ts";
const limits = { ...defaultLimits, editBytes: Number.MAX_SAFE_INTEGER };
/** Edits that come together, of one that types or of many. */
const editsPerTurn = 32;

const traces = folder === undefined ? [synthesizeTrace(20_000)] : readTraces(folder);
const found = [];
for (const trace of traces) found.push(await run(trace));
print(found);

async function run(trace: Trace) {
  const { name, edits } = trace;
  const sent = payloadsOf(trace);
  const expected = trace.end ?? applyBare(trace);
  const cpu: Record<string, number[]> = {};
  const timed = (way: string, run: () => string | Promise<string>) => async () => {
    const used = process.cpuUsage();
    const startMs = performance.now();
    const made = await run();
    const perSecond = (edits.length / (performance.now() - startMs)) * 1000;
    const { user, system } = process.cpuUsage(used);
    cpu[way] = [...(cpu[way] ?? []), (edits.length / (user + system)) * 1e6];
    if (made !== expected) throw new Error(`another text than ${name}'s was made`);
    return perSecond;
  };
  const figures = await inTurn(Number(rounds), {
    bare: timed("bare, of CPU time", () => applyBare(trace)),
    admitted: timed("admitted, of CPU time", () => admitAll(sent, () => undefined)),
    encoded: timed("encoded, of CPU time", () => admitAll(sent, (message) => toBinary(SessionMessageSchema, message))),
    path: timed("path, of CPU time", () => runPath(sent)),
  });
  return { name, edits: edits.length, figures: { ...figures, ...cpu } };
}

function payloadsOf({ start, edits }: Trace): LoggedPayload[] {
  return [{ from: 0, to: 0, insert: start }, ...edits].map((change, version) => ({
    case: "edit",
    value: create(CodeEditSchema, { filePath, version, changes: [change] }),
  }));
}

function submissionOf(payload: LoggedPayload, index: number, generation = 1) {
  return {
    ...key,
    generation,
    clientSeq: index + 1,
    payload,
    payloadHash: hashPayload(payload),
    isAdmin: false,
  };
}

function contentOf({ files }: SessionState): string {
  const file = files.get(filePath);
  return file === undefined ? "" : textContent(file.text);
}

/** The floor. */
function applyBare({ start, edits }: Trace): string {
  let text = Text.of(start.split("\n"));
  for (const change of edits) text = ChangeSet.of(change, text.length, "\n").apply(text);
  return textContent(text);
}

type Admitted = Extract<ReturnType<typeof admit>, { kind: "admitted" }>;

function admitAll(sent: readonly LoggedPayload[], then: (message: Admitted["message"]) => unknown): string {
  const state = emptyState("bench", "e");
  sent.forEach((payload, index) => {
    const result = admit(state, submissionOf(payload, index), 1_700_000_000_000, limits);
    if (result.kind !== "admitted") throw new Error(`${result.kind} at ${index}`);
    then(result.message);
  });
  return contentOf(state);
}

/** What a decoded message goes through until its room may tell of it: order, admission, encoding, the log. */
async function runPath(sent: readonly LoggedPayload[]): Promise<string> {
  const log = createMemoryLog(Date.now);
  const { epoch, generation } = await log.claim("bench", key, "e");
  const context = {
    log,
    bus: createLocalBus().member(),
    limits,
    now: Date.now,
    newId: () => crypto.randomUUID(),
    defer: (then: () => void) => void setImmediate(then),
    meters: new Meters(),
    traces: undefined,
  };
  const fail = (why: string) => {
    throw new Error(`the path ended: ${why}`);
  };
  const pipeline = new Pipeline(context, emptyState("bench", epoch), true, {
    published: () => undefined,
    instanceOf: () => "",
    superseded: () => fail("superseded"),
    contended: () => fail("contended"),
    tailLost: () => fail("tail lost"),
    failed: ({ reason }) => fail(reason),
  });
  const origin = { logged: () => undefined, answered: () => fail("an edit made no record") };
  for (let index = 0; index < sent.length; ) {
    for (const end = index + editsPerTurn; index < end; index++) {
      const payload = sent[index];
      if (payload !== undefined) pipeline.submit(origin, submissionOf(payload, index, generation), 64);
    }
    await pipeline.settled();
  }
  await log.close();
  return contentOf(pipeline.state);
}
