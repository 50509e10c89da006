import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { SpanStatusCode, trace } from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  InMemorySpanExporter,
  ParentBasedSampler,
  SimpleSpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { CodeReviewService, Join_History as History } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { parseTraceparent } from "../../src/relay/traces/traceparent.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { Stream, startRelay, type TestRelay, transports } from "./harness.ts";

const exporter = new InMemorySpanExporter();
const quiet = { heartbeatMs: 100_000_000, messagesBurst: 10_000 };
const custom = { case: "custom", value: { type: "t" } } as const;

let names = 0;
const hex = (length: number) => (++names).toString(16).padStart(length, "a");
/** A caller's span: its ids, and the header that tells of it. */
function caller(flags = "01") {
  const [traceId, spanId] = [hex(32), hex(16)];
  return { traceId, spanId, headers: { traceparent: `00-${traceId}-${spanId}-${flags}` } };
}

/** Spans of this name, once there are so many. */
async function spans(name: string, count = 1) {
  for (const deadline = Date.now() + 10_000; ; ) {
    const found = exporter.getFinishedSpans().filter((span) => span.name === name);
    if (found.length >= count) return found;
    if (Date.now() > deadline) assert.fail(`${found.length} spans ${name}, and not ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function span(name: string) {
  const [first, ...more] = await spans(name);
  assert.ok(first !== undefined && more.length === 0);
  return first;
}

/** A stream that has joined, whose call tells of a caller. */
async function join(
  relay: TestRelay,
  headers: Readonly<Record<string, string>>,
  sub = "alice",
  join = {},
): Promise<Stream> {
  const client = createClient(CodeReviewService, transports.connect(relay.url));
  const token = await relay.token({ sub });
  const traced: typeof client = {
    ...client,
    collaborativeSession: (messages, options) =>
      client.collaborativeSession(messages, { ...options, headers: { ...headers, ...options?.headers } }),
  };
  const stream = new Stream(traced, token);
  stream.send({ case: "join", value: join }, { sessionId: "demo" });
  await stream.take("welcome");
  return stream;
}

const publish = async (relay: TestRelay, headers: Readonly<Record<string, string>>, clientSeq = 1n) => {
  const authorization = `Bearer ${await relay.token({ sub: "bob" })}`;
  const request = { sessionId: "demo", clientId: "tab", messages: [{ clientSeq, payload: custom }] };
  return await relay.client().publish(request, { headers: { authorization, ...headers } });
};

describe("a caller's traceparent", () => {
  const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
  const parse = (traceparent: string, tracestate?: string) =>
    parseTraceparent(new Headers({ traceparent, ...(tracestate === undefined ? {} : { tracestate }) }));

  test("TR1 is taken as the standard has it, with its tracestate", () => {
    assert.deepEqual(parse(`00-${traceId}-${spanId}-01`), { traceId, spanId, traceFlags: 1, isRemote: true });
    assert.equal(parse(`00-${traceId}-${spanId}-00`)?.traceFlags, 0);
    assert.equal(parse(`00-${traceId}-${spanId}-ff`)?.traceFlags, 3);
    assert.equal(parse(`cc-${traceId}-${spanId}-01-what-comes-later`)?.traceId, traceId);
    assert.equal(parse(`00-${traceId}-${spanId}-01`, "a=1,b=2")?.traceState?.get("b"), "2");
  });

  test("TR1 is as if it were not there where it is malformed", () => {
    const bad = [
      "",
      "00",
      traceId,
      `00-${traceId}-${spanId}`,
      `00-${traceId}-${spanId}-1`,
      `00-${traceId}-${spanId}-01-more`,
      `00-${traceId}-${spanId}-01-`,
      `ff-${traceId}-${spanId}-01`,
      `cc-${traceId}-${spanId}-01more`,
      `00-${traceId.toUpperCase()}-${spanId}-01`,
      `00-${"0".repeat(32)}-${spanId}-01`,
      `00-${traceId}-${"0".repeat(16)}-01`,
      `00-${traceId}x-${spanId}-01`,
      `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`,
      `00-${traceId}-${spanId}-0g`,
    ];
    for (const header of bad) assert.equal(parse(header), undefined, header);
    assert.equal(parseTraceparent(new Headers()), undefined);
    const state = parse(`00-${traceId}-${spanId}-01`, "no state at all,,=")?.traceState;
    assert.equal(state?.serialize() ?? "", "");
  });
});

describe("spans, where nobody has registered a provider", () => {
  test("TR2 there are none, and nothing else changes", async () => {
    const relay = await startRelay({ limits: quiet });
    assert.equal(relay.relay.traces, undefined);
    const alice = await join(relay, caller().headers);
    alice.send(custom, { clientSeq: 1n });
    await alice.take("ack");
    await publish(relay, caller().headers);
    assert.equal(exporter.getFinishedSpans().length, 0);
    await relay.stop();
  });
});

describe("spans, where a provider is registered", () => {
  let relay: TestRelay;
  before(() => {
    const provider = new TracerProvider({
      // As a caller decided; of calls that tell of none, nothing.
      sampler: new ParentBasedSampler({ root: new AlwaysOffSampler() }),
      spanProcessors: [new SimpleSpanProcessor({ exporter })],
    });
    assert.ok(trace.setGlobalTracerProvider(provider));
  });
  after(() => trace.disable());
  beforeEach(async () => {
    exporter.reset();
    relay = await startRelay({ limits: quiet });
  });
  afterEach(() => relay.stop());

  test("TR3 from a caller of Publish to the append of what it sent", async () => {
    const { traceId, spanId, headers } = caller();
    await publish(relay, headers);
    const published = await span("baton.publish");
    assert.deepEqual([published.spanContext().traceId, published.parentSpanContext?.spanId], [traceId, spanId]);
    const appended = await span("baton.append");
    assert.equal(appended.spanContext().traceId, traceId);
    assert.equal(appended.parentSpanContext?.spanId, published.spanContext().spanId);
    assert.equal(appended.attributes["baton.records"], 1);
    assert.ok(Number(appended.attributes["baton.bytes"]) > 10);
    assert.equal(appended.attributes["baton.outcome"], "appended");
  });

  test("TR3 from a caller that opens a stream to the append of what it sends on it", async () => {
    const { traceId, spanId, headers } = caller();
    const alice = await join(relay, headers);
    const joined = await span("baton.join");
    assert.deepEqual([joined.spanContext().traceId, joined.parentSpanContext?.spanId], [traceId, spanId]);
    alice.send(custom, { clientSeq: 1n });
    await alice.take("ack");
    const appended = await span("baton.append");
    assert.equal(appended.parentSpanContext?.spanId, joined.spanContext().spanId);
    assert.deepEqual(appended.links, []);
  });

  test("TR3 what a caller does not sample, and a call that tells of no caller, have no spans", async () => {
    const alice = await join(relay, caller("00").headers);
    const bob = await join(relay, {}, "carol");
    for (const stream of [alice, bob]) {
      stream.send(custom, { clientSeq: 1n });
      await stream.take("ack");
    }
    await publish(relay, caller("00").headers);
    await publish(relay, { traceparent: "garbage" }, 2n);
    assert.deepEqual(exporter.getFinishedSpans(), []);
  });

  test("TR4 a batch of several callers is in the trace of the first, with a link to each other one that is sampled", async () => {
    const log = createMemoryLog(Date.now);
    let held: (() => void)[] | undefined;
    const wait = () => new Promise<void>((resolve) => (held === undefined ? resolve() : held.push(resolve)));
    const other = await startRelay({
      limits: quiet,
      log: {
        ...log,
        async append(...args) {
          await wait();
          return await log.append(...args);
        },
      },
    });
    const callers = [caller(), caller(), caller("00")];
    const streams = await Promise.all(callers.map(({ headers }, index) => join(other, headers, `user-${index}`)));
    const joined = await spans("baton.join", 2);
    const first = await join(other, {}, "first");
    // While the first batch is on its way, the others' messages gather.
    held = [];
    first.send(custom, { clientSeq: 1n });
    for (const deadline = Date.now() + 10_000; held.length === 0 && Date.now() < deadline; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const stream of streams) for (const clientSeq of [1n, 2n]) stream.send(custom, { clientSeq });
    const total = () => other.relay.meters.received.custom.messages;
    for (const deadline = Date.now() + 10_000; total() < 7 && Date.now() < deadline; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [release] = held;
    held = undefined;
    release?.();
    for (const stream of streams)
      await stream.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.clientSeq === 2n);
    const appended = await span("baton.append");
    assert.equal(appended.attributes["baton.records"], 6);
    const named = [appended.parentSpanContext, ...appended.links.map(({ context }) => context)];
    assert.deepEqual(
      named.map((context) => context?.spanId).sort(),
      joined.map((one) => one.spanContext().spanId).sort(),
    );
    assert.equal(appended.spanContext().traceId, named[0]?.traceId);
    await other.stop();
  });

  test("TR4 of many callers 32 are named", () => {
    const records = Array.from({ length: 40 }, () => {
      const { traceId, spanId } = caller();
      return { origin: { trace: { traceId, spanId, traceFlags: 1 } } };
    });
    relay.relay.traces?.startAppend({ sessionId: "demo", records: 40, bytes: 1 }, [...records, ...records])?.end();
    const [appended] = exporter.getFinishedSpans();
    assert.equal(appended?.parentSpanContext?.spanId, records[0]?.origin.trace.spanId);
    assert.equal(appended?.links.length, 31);
  });

  test("TR5 what a stream missed is a span until it has been told", async () => {
    const writer = await relay.join({ as: "writer" });
    await writer.take("welcome");
    for (let n = 1n; n <= 20n; n++) {
      writer.send({ case: "custom", value: { type: "t", data: new Uint8Array(100_000) } }, { clientSeq: n });
      await writer.take("ack");
    }
    const { traceId, headers } = caller();
    const late = await join(relay, headers, "late", { history: History.FULL });
    await late.takeMessage("custom", ({ seq }) => seq === 20n);
    const replayed = await span("baton.replay");
    assert.equal(replayed.spanContext().traceId, traceId);
    assert.equal(replayed.parentSpanContext?.spanId, (await span("baton.join")).spanContext().spanId);
    exporter.reset();
    const present = await join(relay, caller().headers, "present", { history: History.LIVE });
    present.send(custom, { clientSeq: 1n });
    await present.take("ack");
    await span("baton.append");
    assert.deepEqual(
      exporter.getFinishedSpans().filter(({ name }) => name === "baton.replay"),
      [],
    );
  });

  test("TR6 a refusal is told by its reason, and no span tells of a user, a client, a token or a text", async () => {
    const { headers } = caller();
    const token = await relay.token({ sub: "PINEAPPLE" });
    const authorization = `Bearer ${token}`;
    const value = { type: "PINEAPPLE", data: new TextEncoder().encode("PINEAPPLE") };
    const message = { clientSeq: 1n, payload: { case: "custom", value } as const };
    const request = { sessionId: "demo", clientId: "PINEAPPLE", messages: [message] };
    await relay.client().publish(request, { headers: { authorization, ...headers } });
    await assert.rejects(
      relay.client().publish(request, { headers: { authorization: "Bearer PINEAPPLE", ...headers } }),
    );
    const failed = (await spans("baton.publish", 2)).find(({ status }) => status.code === SpanStatusCode.ERROR);
    assert.deepEqual(failed?.status, { code: SpanStatusCode.ERROR, message: "TOKEN_INVALID" });
    assert.equal(failed?.attributes["baton.reason"], "TOKEN_INVALID");
    const told = JSON.stringify(
      exporter
        .getFinishedSpans()
        .map(({ name, attributes, status, events, links }) => ({ name, attributes, status, events, links })),
    );
    assert.ok(told.includes("demo"));
    assert.ok(!told.includes("PINEAPPLE") && !told.includes(token));
  });

  test("TR6 an append that fails says why", async () => {
    const log = createMemoryLog(Date.now);
    const other = await startRelay({
      limits: quiet,
      log: { ...log, append: async () => Promise.reject(new BatonError("LOG_FULL")) },
    });
    await publish(other, caller().headers);
    const appended = await span("baton.append");
    assert.equal(appended.status.message, "LOG_FULL");
    await other.stop();
  });
});

describe("log lines of a stream", () => {
  const lines: LogRecord[] = [];
  before(() =>
    configure({
      sinks: { lines: (line) => void lines.push(line) },
      loggers: [
        { category: "baton", sinks: ["lines"], lowestLevel: "info" },
        { category: ["logtape", "meta"], lowestLevel: "error" },
      ],
      reset: true,
    }),
  );
  after(() => reset());

  test("TR7 name its caller's trace, also where nobody wants spans", async () => {
    const relay = await startRelay({ limits: quiet });
    const { traceId, headers } = caller();
    const alice = await join(relay, headers);
    alice.finish();
    await alice.ended;
    const of = (message: string) =>
      lines.filter((line) => line.rawMessage === message).map(({ properties }) => properties.traceId);
    assert.deepEqual([of("stream joined"), of("stream left")], [[traceId], [traceId]]);
    await relay.stop();
  });
});
