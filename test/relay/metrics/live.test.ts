import assert from "node:assert/strict";
import net from "node:net";
import { afterEach, beforeEach, describe, test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { importSecret } from "../../../src/auth/key-import.ts";
import { createKeySet } from "../../../src/auth/keys.ts";
import { createMemoryLog } from "../../../src/durable/log-memory.ts";
import {
  Join_History as History,
  Welcome_Outcome as Outcome,
  SessionMessageSchema,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { catalogue } from "../../../src/relay/metrics/catalogue.ts";
import { BatonError } from "../../../src/session/reasons.ts";
import { createRandom } from "../../support/random.ts";
import { edit, type Stream, secret, startRelay, type TestRelay } from "../harness.ts";
import { operator, startTwo } from "../operators.ts";
import { type Scrape, scrape, scrapeUntil } from "./scrape.ts";

const quiet = { heartbeatMs: 100_000_000, messagesBurst: 100_000, messagesPerSecond: 100_000 };

let relay: TestRelay;
beforeEach(async () => {
  relay = await startRelay({ limits: quiet });
});
afterEach(() => relay.stop());

const custom = (type = "t", bytes = 0) => ({ case: "custom", value: { type, data: new Uint8Array(bytes) } }) as const;
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !holds(); ) {
    if (Date.now() > deadline) assert.fail(`it never held: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Series whose value is not 0, of metrics that tell what is there now. */
const present = (now: Scrape) =>
  now.series.filter(({ name, value }) => now.types.get(name) === "gauge" && value !== 0).map(({ name }) => name);

describe("the metrics of a live relay", () => {
  test("MT1 each metric of the catalogue is told, and no other; each label says what its list has", async () => {
    const alice = await relay.join();
    await alice.take("welcome");
    const { types, series } = await scrape(relay);
    const declared = Object.fromEntries(Object.entries(catalogue).map(([name, { type }]) => [name, type]));
    assert.deepEqual(Object.fromEntries(types), declared);
    const lists: Readonly<Record<string, Readonly<Record<string, "fixed" | readonly string[]>>>> = Object.fromEntries(
      Object.entries(catalogue).map(([name, { labels }]) => [name, labels]),
    );
    assert.ok(series.length > 300, `${series.length} series`);
    for (const { name, labels, value } of series) {
      assert.ok(Number.isFinite(value) && value >= 0, name);
      const own = name.replace(/_(bucket|sum|count)$/, "");
      const allowed = lists[name] ?? lists[own] ?? {};
      for (const [label, said] of Object.entries(labels)) {
        if (label === "le" && name.endsWith("_bucket")) continue;
        const list = allowed[label];
        assert.ok(list === "fixed" || list?.includes(said), `${name}{${label}="${said}"}`);
      }
    }
  });

  test("MT2 who is there is counted as it is; once all have left, nothing is left", async () => {
    const before = await scrape(relay);
    assert.deepEqual(present(before), []);
    const streams = [
      await relay.join({ as: "a" }),
      await relay.join({ as: "b", kind: "grpc-web" }),
      await relay.join({ as: "c", session: "other", kind: "connect-json" }),
      await relay.join({ token: await relay.token({ sub: "d", scope: "session:read" }) }),
    ];
    for (const stream of streams) await stream.take("welcome");
    const cut = new AbortController();
    const token = await relay.token({ sub: "e" });
    const down = relay.client("connect-h1").subscribe({ sessionId: "demo" }, { ...bearer(token), signal: cut.signal });
    const reading = down[Symbol.asyncIterator]();
    await reading.next();
    await reading.next();
    const now = await scrape(relay);
    assert.deepEqual(
      {
        bidiConnect: now.sum("baton_streams", { carriage: "bidi", protocol: "connect" }),
        bidiWeb: now.sum("baton_streams", { carriage: "bidi", protocol: "grpc-web" }),
        split: now.sum("baton_streams", { carriage: "split", protocol: "connect" }),
        all: now.sum("baton_streams"),
        write: now.sum("baton_participants", { access: "write" }),
        read: now.sum("baton_participants", { access: "read" }),
        sessions: now.sum("baton_sessions"),
      },
      { bidiConnect: 3, bidiWeb: 1, split: 1, all: 5, write: 4, read: 1, sessions: 2 },
    );
    for (const stream of streams) stream.cut();
    cut.abort();
    await assert.rejects(reading.next());
    await scrapeUntil(relay, (later) => later.sum("baton_streams") === 0);
    relay.advance(120_000);
    const after = await scrapeUntil(relay, (later) => later.sum("baton_sessions") === 0);
    assert.deepEqual(present(after), []);
    assert.equal(after.sum("baton_stream_ends_total"), 5);
  });

  test("MT2 calls that read are counted while they do", async () => {
    const log = createMemoryLog(Date.now);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const other = await startRelay({
      limits: quiet,
      log: {
        ...log,
        async read(...args) {
          await released;
          return await log.read(...args);
        },
      },
    });
    const alice = await other.join();
    await alice.take("welcome");
    alice.send(custom(), { clientSeq: 1n });
    await alice.take("ack");
    const reading = other
      .client()
      .readLog({ sessionId: "demo" }, bearer(await other.token()))
      [Symbol.asyncIterator]();
    const first = reading.next();
    await scrapeUntil(other, (one) => one.sum("baton_readings") === 1);
    release();
    assert.equal((await first).value?.seq, 1n);
    assert.equal((await reading.next()).done, true);
    await scrapeUntil(other, (one) => one.sum("baton_readings") === 0);
    await other.stop();
  });

  test("MT3 joins by what became of them, refusals by reason", async () => {
    const alice = await relay.join();
    const { resumeToken } = await alice.take("welcome");
    alice.send(custom(), { clientSeq: 1n });
    await alice.take("ack");
    alice.cut();
    const back = await relay.join({ resumeToken, lastSeq: 1n });
    await back.take("welcome");
    const lost = await relay.join({ clientId: "tab", history: History.FULL, lastSeq: 9n });
    await lost.take("welcome");
    await (await relay.join({ token: "" })).ended;
    await (await relay.join({ token: await relay.token({ sessions: ["elsewhere"] }) })).ended;
    await (await relay.join({ session: "a..b", token: await relay.token() })).ended;
    const now = await scrape(relay);
    const reasons = now.series.filter(({ name, value }) => name === "baton_join_refusals_total" && value > 0);
    assert.deepEqual(
      reasons.map(({ labels, value }) => [labels.reason, value]),
      [
        ["TOKEN_INVALID", 1],
        ["SESSION_FORBIDDEN", 1],
        ["SESSION_ID_INVALID", 1],
      ],
    );
    assert.equal(now.sum("baton_joins_total"), 3);
    assert.equal(now.sum("baton_joins_total", { outcome: "resumed" }), 1);
    assert.equal(now.sum("baton_messages_received_total", { payload: "join" }), 3);
  });

  test("MT3 in split carriage too", async () => {
    const subscribe = (token: string) => relay.client().subscribe({ sessionId: "demo" }, bearer(token));
    const refused = subscribe("no-token")[Symbol.asyncIterator]();
    await refused.next();
    await assert.rejects(refused.next());
    const down = subscribe(await relay.token())[Symbol.asyncIterator]();
    while ((await down.next()).value?.payload.case !== "welcome");
    const now = await scrape(relay);
    assert.equal(
      now.sum("baton_join_refusals_total"),
      now.sum("baton_join_refusals_total", { reason: "TOKEN_INVALID" }),
    );
    assert.equal(now.sum("baton_join_refusals_total"), 1);
    assert.equal(now.sum("baton_joins_total", { outcome: "new" }), 1);
    assert.equal(now.sum("baton_messages_received_total", { payload: "join" }), 1);
  });

  test("MT3 a client whose session was deleted is resynced", async () => {
    const alice = await relay.join();
    const { resumeToken } = await alice.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "x"), { clientSeq: 1n });
    await alice.take("ack");
    await relay.admin().deleteSession({ sessionId: "demo" }, await operator(relay));
    await alice.ended;
    const back = await relay.join({ resumeToken, lastSeq: 1n });
    assert.equal((await back.take("welcome")).outcome, Outcome.RESYNCED);
    assert.equal((await scrape(relay)).sum("baton_joins_total", { outcome: "resynced" }), 1);
  });

  test("MT3 whoever goes while it is taken in was not refused", async () => {
    const log = createMemoryLog(Date.now);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let claims = 0;
    const other = await startRelay({
      limits: quiet,
      log: {
        ...log,
        async claim(...args) {
          claims += 1;
          if (claims === 1) await released;
          return await log.claim(...args);
        },
      },
    });
    const gone = await other.join({ as: "gone" });
    await until(() => claims === 1);
    gone.cut();
    await gone.ended;
    const { promise: seen, resolve: see } = Promise.withResolvers<void>();
    setTimeout(see, 100);
    await seen;
    release();
    const alice = await other.join();
    await alice.take("welcome");
    const now = await scrape(other);
    assert.deepEqual([now.sum("baton_join_refusals_total"), now.sum("baton_joins_total")], [0, 1]);
    await other.stop();
  });

  test("MT3 whoever goes before it has joined was not refused, and did not join", async () => {
    const { hostname, port } = new URL(relay.url);
    const socket = net.connect(Number(port), hostname);
    const head = [
      "POST /codereview.v1.CodeReviewService/CollaborativeSession HTTP/1.1",
      "host: test",
      "content-type: application/connect+json",
      `authorization: Bearer ${await relay.token()}`,
      "transfer-encoding: chunked",
    ];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
    const alice = await relay.join();
    await alice.take("welcome");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const now = await scrape(relay);
    assert.deepEqual([now.sum("baton_join_refusals_total"), now.sum("baton_joins_total")], [0, 1]);
  });

  test("MT4 what comes up is counted by payload, taken or not, with its bytes", async () => {
    const alice = await relay.join();
    await alice.take("welcome");
    const before = await scrape(relay);
    alice.send(edit("a.ts", 0, 0, 0, "x".repeat(1000)), { clientSeq: 1n });
    alice.send(custom("t", 500), { clientSeq: 2n });
    alice.send({ case: "comment", value: { commentId: "1", text: "hm" } }, { clientSeq: 3n });
    alice.send({ case: "cursor", value: { filePath: "a.ts" } });
    alice.send({ case: "presence", value: {} });
    alice.send({ case: "ack", value: {} });
    alice.send({ case: "heartbeat", value: { sentAt: 1n } });
    await alice.take("heartbeat");
    const now = await scrapeUntil(
      relay,
      (one) => one.sum("baton_messages_received_total", { payload: "heartbeat" }) > 0,
    );
    const grown = (name: string, payload: string) => now.sum(name, { payload }) - before.sum(name, { payload });
    for (const payload of ["edit", "custom", "comment", "cursor", "presence", "heartbeat", "other"]) {
      assert.equal(grown("baton_messages_received_total", payload), 1, payload);
    }
    assert.ok(grown("baton_received_bytes_total", "edit") > 1000);
    assert.ok(grown("baton_received_bytes_total", "custom") > 500);
    const [participant] = relay.relay.rooms.present("demo")?.participants.values() ?? [];
    assert.equal(now.sum("baton_received_bytes_total"), participant?.receivedBytes);
  });

  test("MT5 what goes down is counted once for each whom it reaches, however it is written and in whatever form", async () => {
    const random = createRandom(7);
    const kinds = ["connect", "connect", "connect-json", "grpc-web"] as const;
    const readers = await Promise.all(kinds.map((kind, index) => relay.join({ as: `r${index}`, kind })));
    const writer = await relay.join({ as: "w" });
    const all = [...readers, writer];
    for (const stream of all) await until(() => stream.kinds().includes("welcome"));
    let clientSeq = 0n;
    for (let n = 0; n < 300; n++) {
      const pick = random();
      if (pick < 0.2) writer.send({ case: "cursor", value: { filePath: "a.ts", line: n } });
      else if (pick < 0.4) writer.send({ case: "custom", value: { type: "e", ephemeral: true } });
      else if (pick < 0.6) writer.send({ case: "comment", value: { commentId: `c${n}` } }, { clientSeq: ++clientSeq });
      else if (pick < 0.7) writer.send({ case: "presence", value: { displayName: `${n}` } });
      else writer.send(custom("t", Math.floor(random() * 3000)), { clientSeq: ++clientSeq });
      if (random() < 0.05) await new Promise((resolve) => setImmediate(resolve));
    }
    const hasLast = (stream: Stream) =>
      stream.received.some(({ payload, seq }) =>
        stream === writer
          ? payload.case === "ack" && payload.value.clientSeq === clientSeq
          : seq > 0n && Number(seq) === Number(clientSeq),
      );
    for (const stream of all) await until(() => hasLast(stream));
    const late = await relay.join({ as: "late", history: History.FULL });
    await until(() => late.received.filter(({ seq }) => seq > 0n).length === Number(clientSeq));
    await until(() => all.every((stream) => stream.received.some(({ userId }) => userId === "late")));
    const now = await scrape(relay);
    const told = new Map<string, number>();
    for (const { payload } of [...all, late].flatMap(({ received }) => received)) {
      told.set(String(payload.case), (told.get(String(payload.case)) ?? 0) + 1);
    }
    assert.ok((told.get("custom") ?? 0) > 500 && (told.get("ack") ?? 0) > 100);
    for (const [payload, count] of told)
      assert.equal(now.sum("baton_messages_sent_total", { payload }), count, payload);
    assert.equal(
      now.sum("baton_messages_sent_total"),
      [...told.values()].reduce((sum, count) => sum + count, 0),
    );
    assert.ok(now.sum("baton_writes_total") <= now.sum("baton_messages_sent_total"));
  });

  test("MT5 writes: one for each message to each, where nothing gathers", async () => {
    const reader = await relay.join({ as: "r" });
    await reader.take("welcome");
    const writer = await relay.join({ as: "w" });
    await writer.take("welcome");
    await reader.takeMessage("presence", ({ userId }) => userId === "w");
    const before = await scrape(relay);
    for (let n = 1; n <= 10; n++) {
      writer.send(custom(), { clientSeq: BigInt(n) });
      await writer.take("ack");
      await reader.take("custom");
    }
    const after = await scrape(relay);
    assert.equal(after.sum("baton_writes_total") - before.sum("baton_writes_total"), 20);
  });

  test("MT5 what was sent in a session that has gone since is still counted", async () => {
    const reader = await relay.join({ as: "r" });
    await reader.take("welcome");
    const writer = await relay.join({ as: "w" });
    await writer.take("welcome");
    for (let n = 1; n <= 5; n++) writer.send(custom(), { clientSeq: BigInt(n) });
    for (let n = 1; n <= 5; n++) await reader.take("custom");
    await relay.admin().deleteSession({ sessionId: "demo" }, await operator(relay));
    await reader.ended;
    await until(() => [...relay.relay.rooms.all].length === 0);
    assert.equal((await scrape(relay)).sum("baton_messages_sent_total", { payload: "custom" }), 5);
  });

  test("MT5 bytes are those of the frames", async () => {
    const reader = await relay.join({ as: "r" });
    const writer = await relay.join({ as: "w" });
    await until(() => writer.kinds().includes("welcome"));
    for (let n = 1; n <= 40; n++) writer.send(custom("t", 37 * n), { clientSeq: BigInt(n) });
    writer.send(edit("a.ts", 0, 0, 0, "text"), { clientSeq: 41n });
    await until(() => reader.kinds().includes("edit") && writer.kinds().filter((kind) => kind === "ack").length === 41);
    const now = await scrape(relay);
    for (const payload of ["custom", "edit", "ack", "welcome"] as const) {
      const frames = [reader, writer].flatMap(({ received }) => received.filter((one) => one.payload.case === payload));
      const bytes = frames.reduce((sum, message) => sum + 5 + toBinary(SessionMessageSchema, message).length, 0);
      assert.ok(bytes > 0);
      assert.equal(now.sum("baton_sent_bytes_total", { payload }), bytes, payload);
    }
  });

  test("MT5 records that are read from the log, and parts of snapshots", async () => {
    const writer = await relay.join({ as: "w" });
    await writer.take("welcome");
    for (let n = 1; n <= 20; n++) writer.send(custom("t", 100_000), { clientSeq: BigInt(n) });
    writer.send(edit("a.ts", 0, 0, 0, "text"), { clientSeq: 21n });
    await until(() => writer.kinds().filter((kind) => kind === "ack").length === 21);
    const before = await scrape(relay);
    const token = await relay.token({ sub: "r" });
    let records = 0;
    for await (const _ of relay.client().readLog({ sessionId: "demo" }, bearer(token))) records += 1;
    let parts = 0;
    for await (const _ of relay.client().getSnapshot({ sessionId: "demo" }, bearer(token))) parts += 1;
    const after = await scrape(relay);
    const grown = (payload: string) =>
      after.sum("baton_messages_sent_total", { payload }) - before.sum("baton_messages_sent_total", { payload });
    assert.deepEqual([grown("record"), grown("snapshot")], [records, parts]);
    assert.ok(after.sum("baton_writes_total") - before.sum("baton_writes_total") > parts);
    assert.ok(records === 21 && parts > 0);
    // The ring holds 1 MiB: of 2 MB the first half comes from the log.
    const late = await relay.join({ as: "late", history: History.FULL });
    await until(() => late.received.filter(({ seq }) => seq > 0n).length === 21);
    const told = await scrape(relay);
    const fromLog = told.sum("baton_messages_sent_total", { payload: "record" }) - 21;
    const fromRing = told.sum("baton_messages_sent_total", { payload: "custom" });
    assert.ok(fromLog > 5);
    assert.equal(fromLog + fromRing + told.sum("baton_messages_sent_total", { payload: "edit" }), 21);
  });

  test("MT6 batches: how many, how large, how long, and what the log said", async () => {
    const alice = await relay.join();
    await alice.take("welcome");
    for (let n = 1; n <= 30; n++) alice.send(custom("t", 100), { clientSeq: BigInt(n) });
    await until(() => alice.kinds().filter((kind) => kind === "ack").length === 30);
    const now = await scrape(relay);
    const batches = now.sum("baton_appends_total", { outcome: "appended" });
    assert.ok(batches >= 1 && batches <= 30);
    for (const name of ["baton_append_seconds", "baton_batch_records", "baton_batch_bytes", "baton_fanout_seconds"]) {
      assert.equal(now.sum(`${name}_count`), batches, name);
      assert.equal(now.sum(`${name}_bucket`, { le: "+Inf" }), batches, name);
      assert.ok(now.sum(`${name}_sum`) > 0, name);
      const buckets = now.series.filter((one) => one.name === `${name}_bucket`).map(({ value }) => value);
      assert.deepEqual(
        [...buckets].sort((a, b) => a - b),
        buckets,
        `${name} is cumulative`,
      );
    }
    assert.equal(now.sum("baton_batch_records_sum"), 30);
    const { bytes } = (await relay.log.describe("demo")) ?? { bytes: 0 };
    assert.ok(bytes > 3000);
    assert.deepEqual([now.sum("baton_batch_bytes_sum"), now.sum("baton_log_appended_bytes_total")], [bytes, bytes]);
  });

  test("MT7 ends of streams, faults and calls, by reason", async () => {
    const alice = await relay.join({ clientId: "tab" });
    await alice.take("welcome");
    alice.send(custom(), { clientSeq: 7n });
    await alice.take("fault");
    const again = await relay.join({ clientId: "tab" });
    await again.take("welcome");
    await alice.ended;
    again.finish();
    await again.ended;
    const token = await relay.token();
    const message = { clientSeq: 9n, payload: custom() };
    await relay.client().publish({ sessionId: "demo", clientId: "x", messages: [message] }, bearer(token));
    await assert.rejects(relay.client().publish({ sessionId: "demo", clientId: "x" }, bearer("no-token")));
    const now = await scrape(relay);
    const said = (name: string) =>
      Object.fromEntries(
        now.series
          .filter((one) => one.name === name && one.value > 0)
          .map(({ labels, value }) => [labels.reason, value]),
      );
    assert.deepEqual(said("baton_stream_ends_total"), { OK: 1, SUPERSEDED: 1 });
    assert.equal(now.sum("baton_reader_steps_total"), 0);
    assert.deepEqual(said("baton_message_refusals_total"), { OUT_OF_ORDER: 2 });
    assert.deepEqual(said("baton_publishes_total"), { OK: 1, TOKEN_INVALID: 1 });
  });

  test("MT8 rotations by outcome, on a stream and by Publish; revocations", async () => {
    const alice = await relay.join();
    await alice.take("welcome");
    for (const sub of ["alice", "mallory"]) {
      alice.send({ case: "tokenRotation", value: { token: await relay.token({ sub }) } });
      await alice.take("tokenStatus");
    }
    const cut = new AbortController();
    const first = bearer(await relay.token({ sub: "bob" }));
    const down = relay.client().subscribe({ sessionId: "demo" }, { ...first, signal: cut.signal });
    const reading = down[Symbol.asyncIterator]();
    let resumeToken = "";
    while (resumeToken === "") {
      const { value } = await reading.next();
      if (value?.payload.case === "welcome") resumeToken = value.payload.value.resumeToken;
    }
    const newer = await relay.token({ sub: "bob", nowMs: relay.now() + 2_000 });
    await relay.client().publish({ sessionId: "demo", resumeToken }, bearer(newer));
    await relay.admin().revokeTokens({ tokenId: "some" }, await operator(relay));
    const now = await scrape(relay);
    assert.equal(now.sum("baton_token_rotations_total", { outcome: "accepted" }), 2);
    assert.equal(now.sum("baton_token_rotations_total", { outcome: "rejected" }), 1);
    assert.equal(now.sum("baton_revocations"), 1);
    cut.abort();
  });
});

describe("the metrics of a rotation by Publish", () => {
  test("MT8 one that is refused is counted, though its call ends", async () => {
    const other = await startRelay({ limits: { ...quiet, writers: 1 } });
    const alice = await other.join();
    await alice.take("welcome");
    const reads = bearer(await other.token({ sub: "bob", scope: "session:read" }));
    const down = other.client().subscribe({ sessionId: "demo" }, reads)[Symbol.asyncIterator]();
    let resumeToken = "";
    while (resumeToken === "") {
      const { value } = await down.next();
      if (value?.payload.case === "welcome") resumeToken = value.payload.value.resumeToken;
    }
    const newer = bearer(await other.token({ sub: "bob", nowMs: other.now() + 2_000 }));
    await assert.rejects(other.client().publish({ sessionId: "demo", resumeToken }, newer));
    const now = await scrape(other);
    assert.equal(now.sum("baton_token_rotations_total", { outcome: "rejected" }), 1);
    assert.equal(now.sum("baton_publishes_total", { reason: "SESSION_FULL" }), 1);
    await other.stop();
  });
});

describe("what metrics do not tell", () => {
  test("MT14 no name, token or text of anybody, and no more series for more people", async () => {
    const before = (await scrape(relay)).series.length;
    const tokens: string[] = [];
    for (let n = 0; n < 5; n++) {
      const session = `PINEAPPLE-s${n}`;
      const token = await relay.token({ sub: `PINEAPPLE-u${n}`, sessions: [session], tokenId: `PINEAPPLE-j${n}` });
      tokens.push(token);
      const stream = await relay.join({ session, token, clientId: `PINEAPPLE-c${n}` });
      tokens.push((await stream.take("welcome")).resumeToken);
      stream.send(custom(`PINEAPPLE-t${n}`), { clientSeq: 1n });
      stream.send(edit(`PINEAPPLE-f${n}`, 0, 0, 0, "PINEAPPLE"), { clientSeq: 2n });
      stream.send(custom(), { clientSeq: 9n, userId: "PINEAPPLE" });
      await stream.take("fault");
    }
    await (await relay.join({ token: "PINEAPPLE.PINEAPPLE.PINEAPPLE", session: "PINEAPPLE" })).ended;
    const after = await scrape(relay);
    assert.equal(after.sum("baton_streams"), 5);
    assert.equal(after.series.length, before);
    assert.ok(!after.text.includes("PINEAPPLE"));
    for (const token of tokens) assert.ok(token !== "" && !after.text.includes(token));
  });
});

describe("the metrics of keys that an issuer publishes", () => {
  test("MT8 tell how old they are, and nothing where there are none", async () => {
    const imported = await importSecret(secret);
    assert.ok(imported.kind === "keys");
    let fetchedAtMs: number | undefined;
    const keys = Object.defineProperty(createKeySet(imported.keys), "fetchedAtMs", { get: () => fetchedAtMs });
    const other = await startRelay({ keys });
    const ages = async () => (await scrape(other)).series.filter(({ name }) => name === "baton_keys_age_seconds");
    assert.deepEqual(await ages(), []);
    fetchedAtMs = other.now() - 90_000;
    const [{ value: age } = { value: 0 }] = await ages();
    assert.ok(age >= 90 && age < 100, `${age}`);
    fetchedAtMs = other.now() + 90_000;
    assert.equal((await ages())[0]?.value, 0);
    await other.stop();
  });
});

describe("the metrics of what went wrong", () => {
  test("MT6 what the log refuses, and where it fails", async () => {
    const log = createMemoryLog(Date.now);
    let failure: BatonError | undefined;
    const other = await startRelay({
      limits: quiet,
      log: {
        ...log,
        append: async (...args) => (failure === undefined ? await log.append(...args) : Promise.reject(failure)),
      },
    });
    const alice = await other.join();
    await alice.take("welcome");
    failure = new BatonError("LOG_FULL");
    alice.send(custom(), { clientSeq: 1n });
    assert.equal((await alice.take("fault")).reason, "LOG_FULL");
    failure = new BatonError("LOG_UNAVAILABLE");
    alice.send(custom(), { clientSeq: 1n });
    await alice.ended;
    const now = await scrape(other);
    assert.equal(now.sum("baton_sessions"), 0);
    assert.equal(now.sum("baton_appends_total", { outcome: "full" }), 1);
    // A batch is tried again until the store's time is over; each attempt counts.
    const failed = now.sum("baton_appends_total", { outcome: "failed" });
    assert.ok(failed > 1, String(failed));
    assert.equal(now.sum("baton_append_seconds_count"), 1 + failed);
    assert.equal(now.sum("baton_batch_records_count"), 0);
    assert.equal(now.sum("baton_stream_ends_total", { reason: "LOG_UNAVAILABLE" }), 1);
    await other.stop();
  });

  test("MT6 what another instance wrote first is a conflict, and no batch of ours", async () => {
    const { here, there, stop } = await startTwo({ shareBus: false, limits: quiet });
    const [alice, bob] = [await here.join({ as: "alice" }), await there.join({ as: "bob" })];
    await alice.take("welcome");
    await bob.take("welcome");
    alice.send(custom(), { clientSeq: 1n });
    await alice.take("ack");
    bob.send(custom(), { clientSeq: 1n });
    assert.equal((await bob.take("ack")).seq, 2n);
    const now = await scrape(there);
    assert.equal(now.sum("baton_appends_total", { outcome: "conflict" }), 1);
    assert.equal(now.sum("baton_appends_total", { outcome: "appended" }), 1);
    assert.deepEqual([now.sum("baton_batch_records_sum"), now.sum("baton_batch_records_count")], [1, 1]);
    assert.equal(now.sum("baton_append_seconds_count"), 2);
    await stop();
  });

  test("MT9 a reader that takes nothing shows, and each step that is taken for it", async () => {
    const small = await startRelay({
      limits: { ...quiet, ringBytes: 256 * 1024, unackedBytes: 1 << 30 },
    });
    const slow = await joinAndStop(small, "slow");
    const cut = await joinAndStop(small, "cut");
    const writer = await small.join({ as: "writer" });
    await writer.take("welcome");
    for (let n = 1; n <= 50; n++) {
      writer.send({ case: "custom", value: { type: "e", ephemeral: true } });
      writer.send(custom(`t${n}`, 200_000), { clientSeq: BigInt(n) });
      await writer.take("ack");
    }
    const behind = await scrapeUntil(small, (one) => one.sum("baton_readers_behind") === 2);
    assert.ok(behind.sum("baton_reader_lag_records") > 5);
    slow.resume();
    await scrapeUntil(small, (one) => one.sum("baton_readers_behind") === 1);
    const after = await scrapeUntil(small, (one) => one.sum("baton_reader_steps_total", { step: "conflated" }) > 0);
    assert.ok(after.sum("baton_reader_steps_total", { step: "log" }) > 0);
    assert.ok(after.sum("baton_messages_sent_total", { payload: "conflated" }) > 0);
    assert.ok(after.sum("baton_messages_sent_total", { payload: "record" }) > 0);
    assert.equal(after.sum("baton_reader_steps_total", { step: "cut" }), 0);
    small.advance(31_000);
    const ended = await scrapeUntil(small, (one) => one.sum("baton_reader_steps_total", { step: "cut" }) === 1);
    assert.equal(ended.sum("baton_stream_ends_total", { reason: "SLOW_CONSUMER" }), 1);
    assert.deepEqual([ended.sum("baton_readers_behind"), ended.sum("baton_reader_lag_records")], [0, 0]);
    for (const socket of [slow, cut]) socket.destroy();
    await small.stop();
  });
});

/** A participant that has joined over HTTP/1.1, and reads nothing from then on until its socket is resumed. */
async function joinAndStop(on: TestRelay, sub: string): Promise<net.Socket> {
  const { hostname, port } = new URL(on.url);
  const socket = net.connect(Number(port), hostname);
  socket.on("error", () => undefined);
  const welcomed = new Promise<void>((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text = (text + chunk.toString("latin1")).slice(-4096);
      if (text.includes('"welcome"')) resolve();
    });
  });
  const body = JSON.stringify({ sessionId: "demo", join: {} });
  const frame = Buffer.alloc(5 + body.length);
  frame.writeUInt32BE(body.length, 1);
  frame.write(body, 5);
  const head = [
    "POST /codereview.v1.CodeReviewService/Subscribe HTTP/1.1",
    "host: test",
    "content-type: application/connect+json",
    `authorization: Bearer ${await on.token({ sub })}`,
    `content-length: ${frame.length}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  socket.write(frame);
  await welcomed;
  socket.pause();
  return socket;
}
