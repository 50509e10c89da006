import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import {
  Join_History as History,
  Welcome_Outcome as Outcome,
  type SessionMessage,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { ReaderStep } from "../../src/relay/metrics/labels.ts";
import { isResyncDue, prepareResync } from "../../src/relay/resync.ts";
import { SessionClient } from "../../src/session/client/client.ts";
import type { ClientEffect } from "../../src/session/client/effects.ts";
import type { Limits } from "../../src/session/limits.ts";
import { changeSet, textContent } from "../../src/session/text.ts";
import { edit, type Stream, startRelay, type TestRelay } from "./harness.ts";
import { StoppedReader } from "./stopped-reader.ts";

const limits = {
  heartbeatMs: 100_000_000,
  messagesPerSecond: 1e6,
  messagesBurst: 1e6,
  ringBytes: 256 * 1024,
  unackedBytes: 1 << 30,
};

let relay: TestRelay;
let writer: Stream;
let edits: number;
let sent: bigint;
beforeEach(() => open());
afterEach(() => relay.stop());

async function open(more: Partial<Limits> = {}): Promise<void> {
  relay = await startRelay({ limits: { ...limits, ...more } });
  writer = await relay.join({ as: "writer", clientId: "w" });
  await writer.take("welcome");
  edits = 0;
  sent = 0n;
}

const pageUnits = 50_000;
const room = () => {
  const present = relay.relay.rooms.present("demo");
  assert.ok(present !== undefined);
  return present;
};
const stepsOf = (step: ReaderStep) => relay.relay.meters.readerSteps.get(step);
const participantOf = (user: string) =>
  [...room().participants.values()].find(({ identity }) => identity.userId === user);
const readerOf = (user: string) => {
  const found = participantOf(user);
  assert.ok(found !== undefined);
  return found.reader;
};

/** A file's whole text anew: records of some size, and a state of the same size for ever. */
async function rewrite(): Promise<void> {
  const text = `${edits} `.padEnd(pageUnits, ".");
  writer.send(edit("a.ts", edits, 0, edits === 0 ? 0 : pageUnits, text), { clientSeq: ++sent });
  edits += 1;
  await writer.take("ack");
}

async function say(type: string): Promise<void> {
  writer.send({ case: "custom", value: { type, data: new Uint8Array(40_000) } }, { clientSeq: ++sent });
  await writer.take("ack");
}

/** Whether it takes no more: a large write alone makes it wait for a moment. */
async function isStuck(user: string): Promise<boolean> {
  const sinceMs = readerOf(user).blockedSinceMs;
  if (sinceMs === undefined) return false;
  await new Promise((resolve) => setTimeout(resolve, 50));
  return readerOf(user).blockedSinceMs === sinceMs;
}

/** Until its socket is full. */
async function fill(user: string, more: () => Promise<void>): Promise<void> {
  do {
    for (let n = 0; n < 20; n++) await more();
  } while (!(await isStuck(user)));
}

/** Until its socket is full, and by so much more that it is worth a resync. */
async function leaveBehind(user: string): Promise<void> {
  await fill(user, rewrite);
  const from = readerOf(user).toldSeq;
  while ((room().state.head - from) * pageUnits < 4 * limits.ringBytes) await rewrite();
}

/** A client's machine whose stream is read only when that is asked for. */
class SlowClient {
  readonly machine: SessionClient;
  readonly reader: StoppedReader;
  readonly outcomes: Outcome[] = [];
  readonly seqs: number[] = [];
  next: Extract<ClientEffect, { kind: "next" }>["step"] | undefined;
  #taken = 0;

  private constructor(machine: SessionClient, reader: StoppedReader) {
    this.machine = machine;
    this.reader = reader;
  }

  static async join(user: string, options: { readonly history?: History } = {}): Promise<SlowClient> {
    const machine = new SessionClient({ sessionId: "demo", clientId: user, ...options });
    const token = await relay.token({ sub: user });
    const until = options.history === undefined ? "snapshot" : "welcome";
    const client = new SlowClient(machine, await StoppedReader.join(relay.url, token, machine.join(), until));
    client.take();
    return client;
  }

  run(effects: readonly ClientEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.reader.send(effect.message);
      else if (effect.kind === "next") this.next = effect.step;
      else if (effect.kind === "tell") assert.notEqual(effect.event.kind, "protocol-error");
    }
  }

  /** Puts to the machine what has come. */
  take(): readonly SessionMessage[] {
    const fresh = this.reader.messages().slice(this.#taken);
    this.#taken += fresh.length;
    for (const message of fresh) {
      if (message.payload.case === "welcome") this.outcomes.push(message.payload.value.outcome);
      if (message.seq > 0n) this.seqs.push(Number(message.seq));
      this.run(this.machine.receive(message, Date.now()));
    }
    return fresh;
  }

  /** Reads all that there is. */
  async catchUp(): Promise<readonly SessionMessage[]> {
    this.reader.socket.resume();
    const head = room().state.head;
    const fresh: SessionMessage[] = [];
    await until(() => {
      fresh.push(...this.take());
      return this.machine.lastSeq >= head || this.next !== undefined;
    });
    return fresh;
  }

  text(): string | undefined {
    const text = this.machine.text("a.ts");
    return text && textContent(text);
  }
}

const present = () => {
  const file = room().state.files.get("a.ts");
  return file && textContent(file.text);
};

describe("a reader that falls behind", () => {
  test("SR3 far behind, it gets a Welcome and the state on the stream that it has, and goes on from there", async () => {
    await rewrite();
    const slow = await SlowClient.join("slow");
    await leaveBehind("slow");
    slow.reader.socket.resume();
    // The others go on meanwhile: nothing is left out between the state and the records behind it.
    for (let n = 0; n < 40; n++) await rewrite();
    await slow.catchUp();
    assert.deepEqual(slow.outcomes, [Outcome.NEW, Outcome.RESYNCED]);
    assert.equal(slow.text(), present());
    assert.ok(slow.seqs.length < edits - 15, `${slow.seqs.length} of ${edits} records`);
    await rewrite();
    await slow.catchUp();
    assert.equal(slow.text(), present());
    // It is a stream as before: what is typed on it goes out, and is acked at its place.
    slow.run(slow.machine.edit("a.ts", changeSet(pageUnits, [{ from: 0, to: 0, insert: "mine" }])));
    await until(() => {
      slow.take();
      return slow.machine.settled;
    });
    assert.equal(slow.text(), present());
    assert.equal(slow.next, undefined);
    assert.deepEqual([stepsOf("log") > 0, stepsOf("resynced"), stepsOf("cut")], [true, 1, 0]);
    slow.reader.socket.destroy();
  });

  test("SR4 it gets every record where one of them is a custom message", async () => {
    await rewrite();
    const slow = await SlowClient.join("slow");
    await leaveBehind("slow");
    await say("mark");
    await rewrite();
    const head = room().state.head;
    await slow.catchUp();
    assert.deepEqual(slow.outcomes, [Outcome.NEW]);
    assert.deepEqual(
      slow.seqs,
      Array.from({ length: head - 1 }, (_, index) => index + 2),
    );
    assert.equal(stepsOf("resynced"), 0);
    slow.reader.socket.destroy();
  });

  test("SR4 it gets every record where a custom message comes while the state is made ready", async () => {
    await rewrite();
    const slow = await SlowClient.join("slow");
    await leaveBehind("slow");
    const { resumeTokens } = relay.relay;
    const issue = resumeTokens.issue.bind(resumeTokens);
    let issued = 0;
    const value = async (...given: Parameters<typeof issue>) => {
      if (issued++ === 0) await say("mark");
      return await issue(...given);
    };
    Object.defineProperty(resumeTokens, "issue", { value });
    await slow.catchUp();
    await until(() => {
      slow.take();
      return slow.machine.lastSeq === room().state.head;
    });
    assert.equal(issued, 1);
    assert.deepEqual(slow.outcomes, [Outcome.NEW]);
    assert.equal(stepsOf("resynced"), 0);
    slow.reader.socket.destroy();
  });

  test("SR4 it gets every record where it joined for the whole log", async () => {
    const slow = await SlowClient.join("slow", { history: History.FULL });
    await leaveBehind("slow");
    const head = room().state.head;
    await slow.catchUp();
    assert.deepEqual(slow.outcomes, [Outcome.NEW]);
    assert.deepEqual(
      slow.seqs,
      Array.from({ length: head }, (_, index) => index + 1),
    );
    slow.reader.socket.destroy();
  });

  test("SR4 it gets what its Welcome promised, however much that is", async () => {
    await rewrite();
    const before = await relay.join({ as: "back", clientId: "b" });
    const { resumeToken } = await before.take("welcome");
    before.cut();
    for (let n = 0; n < 60; n++) await rewrite();
    const back = await relay.join({ as: "back", resumeToken, lastSeq: 1n });
    assert.equal((await back.take("welcome")).outcome, Outcome.RESUMED);
    for (let seq = 2n; seq <= 61n; seq++) assert.equal((await back.takeMessage("edit")).seq, seq);
    assert.equal(stepsOf("resynced"), 0);
  });

  test("SR5 the Welcome, the snapshot and what comes behind it are of one moment", async () => {
    await rewrite();
    while (!isResyncDue(room(), limits, 1)) await rewrite();
    const own = participantOf("writer") ?? assert.fail();
    const resync = (await prepareResync(relay.relay, room(), own, 1)) ?? assert.fail();
    const parts = [...{ [Symbol.iterator]: () => resync.parts }];
    const { head } = room().state;
    assert.deepEqual(new Set(parts.map(({ seq }) => seq)), new Set([BigInt(head)]));
    assert.equal(resync.nextSeq, head + 1);
    assert.ok(resync.welcome.case === "welcome");
    const { headSeq, lastClientSeq, outcome } = resync.welcome.value;
    assert.deepEqual([headSeq, lastClientSeq, outcome], [BigInt(head), sent, Outcome.RESYNCED]);
  });

  test("SR5 what it has on its way is neither lost nor there twice", async () => {
    await rewrite();
    const slow = await SlowClient.join("slow");
    await leaveBehind("slow");
    // One that the snapshot will hold already, though its Ack was never read.
    slow.run(slow.machine.edit("b.ts", changeSet(0, [{ from: 0, to: 0, insert: "mine" }])));
    await until(() => room().state.files.get("b.ts") !== undefined);
    await slow.catchUp();
    assert.deepEqual(slow.outcomes, [Outcome.NEW, Outcome.RESYNCED]);
    assert.equal(slow.next, undefined, "what it had sent was in the snapshot: it goes on with its stream");
    assert.ok(slow.machine.settled);
    assert.equal(slow.machine.nextClientSeq, 2);
    assert.equal(textContent(slow.machine.text("b.ts") ?? assert.fail()), "mine");
    slow.run(slow.machine.edit("b.ts", changeSet(4, [{ from: 4, to: 4, insert: "!" }])));
    await until(() => {
      slow.take();
      return slow.machine.settled;
    });
    assert.equal(textContent(room().state.files.get("b.ts")?.text ?? assert.fail()), "mine!");
    slow.reader.socket.destroy();
  });

  test("SR7 it gets the state where what it missed was trimmed from the log", async () => {
    const ringBytes = 2 * 1024 * 1024;
    await relay.stop();
    await open({ ringBytes, snapshotRecords: 10, logRecords: 20 });
    await rewrite();
    const slow = await SlowClient.join("slow");
    await fill("slow", rewrite);
    const from = readerOf("slow").toldSeq + 1;
    // Out of the ring, and not so far that it would be worth a resync by itself.
    while ((room().state.head - from) * pageUnits < 1.2 * ringBytes) await rewrite();
    await until(() => room().first > from);
    assert.ok((room().state.head - from) * pageUnits < 2 * ringBytes);
    await slow.catchUp();
    assert.deepEqual(slow.outcomes, [Outcome.NEW, Outcome.RESYNCED]);
    assert.equal(slow.text(), present());
    slow.reader.socket.destroy();
  });

  test("SR7 it is cut where a custom message was trimmed from the log with it", async () => {
    await relay.stop();
    await open({ snapshotRecords: 10, logRecords: 20 });
    await rewrite();
    const slow = await SlowClient.join("slow");
    await fill("slow", rewrite);
    const from = readerOf("slow").toldSeq + 1;
    await say("mark");
    while (room().first <= room().state.lastCustomSeq || room().first <= from) await rewrite();
    slow.reader.socket.resume();
    await until(() => slow.reader.text().includes("SLOW_CONSUMER"));
    assert.deepEqual(slow.outcomes, [Outcome.NEW]);
    slow.reader.socket.destroy();
  });

  test("SR1 it gets the newest of what is not logged, however long ago that was said", async () => {
    await rewrite();
    const slow = await SlowClient.join("slow");
    await fill("slow", () => say("fill"));
    const other = await relay.join({ as: "other", clientId: "o" });
    await other.take("welcome");
    for (const column of [1, 2, 3]) other.send({ case: "cursor", value: { filePath: "a.ts", line: 1, column } });
    await until(() => [...room().roster.entries].some(({ cursor }) => cursor?.column === 3));
    const { first } = room().ring;
    // The ring goes on without them, and time with it.
    for (let n = 0; n < 20; n++) await say("fill");
    assert.ok(room().ring.first > first + 10);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const fresh = [...(await slow.catchUp())];
    await until(() => {
      fresh.push(...slow.take());
      return fresh.some(({ payload }) => payload.case === "cursor");
    });
    const cursors = fresh.flatMap(({ payload }) => (payload.case === "cursor" ? [payload.value.column] : []));
    const joins = fresh.filter(({ payload, userId }) => payload.case === "presence" && userId === "other");
    assert.deepEqual([cursors, joins.length], [[3], 1]);
    assert.ok(stepsOf("conflated") > 0);
    slow.reader.socket.destroy();
  });

  test("SR9 what it took nothing in, is not held against it as silence", async () => {
    await relay.stop();
    await open({ heartbeatMs: 15_000 });
    await rewrite();
    const slow = await SlowClient.join("slow");
    await leaveBehind("slow");
    const ticks = () => new Promise((resolve) => setTimeout(resolve, 700));
    // More than its silence may be, and less than it may take nothing in.
    relay.advance(25_000);
    await ticks();
    assert.notEqual(participantOf("slow"), undefined);
    slow.reader.socket.resume();
    await until(() => readerOf("slow").drained);
    await ticks();
    // It has been asked whether it lives, and has not answered yet.
    assert.notEqual(participantOf("slow"), undefined);
    const received = participantOf("slow")?.receivedBytes ?? assert.fail();
    assert.ok(slow.take().some(({ payload }) => payload.case === "heartbeat"));
    await until(() => (participantOf("slow")?.receivedBytes ?? 0) > received);
    // From its answer on it is as everybody.
    relay.advance(25_000);
    await until(() => participantOf("slow") === undefined);
    await until(() => slow.reader.text().includes("CLIENT_SILENT"));
    slow.reader.socket.destroy();
  });

  test("SR8 one that has taken nothing for long is cut, and not told that it will be", async () => {
    await rewrite();
    const slow = await SlowClient.join("slow");
    await leaveBehind("slow");
    relay.advance(31_000);
    await until(() => participantOf("slow") === undefined);
    assert.equal(stepsOf("cut"), 1);
    slow.reader.socket.resume();
    await until(() => slow.reader.text().includes("SLOW_CONSUMER"));
    assert.ok(!slow.reader.text().includes("goAway"));
    slow.reader.socket.destroy();
  });
});

async function until(holds: () => boolean): Promise<void> {
  for (let waits = 0; waits < 500; waits++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("it did not come to be");
}
