import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { LogRecord } from "../../src/durable/session-log.ts";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { Ephemerals } from "../../src/relay/ephemerals.ts";
import { Meters } from "../../src/relay/metrics/meters.ts";
import { encodeControl } from "../../src/relay/payload.ts";
import { Reader } from "../../src/relay/reader.ts";
import type { ReaderSource } from "../../src/relay/reader-source.ts";
import { Ring } from "../../src/relay/ring.ts";
import type { FrameForm, Outlet } from "../../src/relay/stream.ts";
import { createBase64Decoder } from "../../src/relay/wire/base64.ts";
import { decodeMessage, encodeFrame } from "../../src/relay/wire/envelope.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { clientKey } from "../../src/session/state.ts";
import { createRandom } from "../support/random.ts";

/** Takes frames, falls behind at random, and is asked to go on by the test. */
class RandomOutlet implements Outlet {
  readonly form: FrameForm;
  readonly bytes = createEnvelopeReader(1 << 20);
  readonly got: SessionMessage[] = [];
  writes = 0;
  /** Bytes of the largest write. */
  largest = 0;
  waits = 0;
  #resume: (() => void) | undefined;
  readonly #random: () => number;
  slowness: number;

  constructor(random: () => number, slowness: number, form: FrameForm) {
    this.#random = random;
    this.slowness = slowness;
    this.form = form;
  }

  write(frames: Uint8Array): Promise<void> | undefined {
    assert.equal(this.#resume, undefined, "written to although it is behind");
    this.writes += 1;
    this.largest = Math.max(this.largest, frames.length);
    this.bytes.push(this.form === "text" ? createBase64Decoder().decode(frames) : frames);
    for (let next = this.bytes.take(); next !== undefined; next = this.bytes.take()) {
      this.got.push(decodeMessage(SessionMessageSchema, next, this.form));
    }
    if (this.#random() >= this.slowness) return undefined;
    this.waits += 1;
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  end(): void {}

  goOn(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }
}

/** A session's ring and log, with readers of every speed. */
class World {
  readonly ring: Ring;
  readonly log: LogRecord[] = [];
  readonly ephemerals = new Ephemerals(1 << 20);
  readonly meters = new Meters();
  readonly readers = new Map<string, { reader: Reader; outlet: RandomOutlet; fromSeq: number; ackFrom: number }>();
  readonly #random: () => number;
  readonly #counts = new Map<string, number>();
  logReads = 0;
  /** What one read of the log gives at most. */
  pieceBytes = 600;
  readonly failures: unknown[] = [];

  constructor(random: () => number, ringBytes: number) {
    this.#random = random;
    this.ring = new Ring(ringBytes);
  }

  join(userId: string, slowness: number, fromSeq: number, ackFrom: number, form: FrameForm = "binary"): void {
    const identity = { sessionId: "s", userId, clientId: "c", key: clientKey(userId, "c") };
    const world = this;
    const source: ReaderSource = {
      ring: this.ring,
      meters: this.meters,
      get head() {
        return world.log.length;
      },
      async readLog(from, maxBytes) {
        world.logReads += 1;
        const records: LogRecord[] = [];
        for (
          let bytes = 0, at = from - 1;
          at < world.log.length && bytes < Math.min(maxBytes, world.pieceBytes);
          at++
        ) {
          const record = world.log[at];
          if (record === undefined) break;
          records.push(record);
          bytes += record.frame.length;
        }
        return records;
      },
      conflated: (from, to) => this.ephemerals.between(from, to, identity.key),
      encode: (payload, form, timestampMs = 0) => encodeControl(identity, payload, timestampMs, form),
    };
    const outlet = new RandomOutlet(this.#random, slowness, form);
    const fail = (error: unknown) => void this.failures.push(error);
    const reader = new Reader({
      outlet,
      source,
      key: identity.key,
      ackFrom,
      snapshot: undefined,
      fromSeq,
      now: () => 0,
      fetchResync: () => undefined,
      fail,
    });
    this.readers.set(identity.key, { reader, outlet, fromSeq, ackFrom });
    reader.welcome({ case: "welcome", value: {} });
  }

  record(userId: string): void {
    const sender = clientKey(userId, "c");
    const clientSeq = (this.#counts.get(sender) ?? 0) + 1;
    this.#counts.set(sender, clientSeq);
    const seq = this.log.length + 1;
    const frame = this.#frame({ userId, seq: BigInt(seq), clientSeq: BigInt(clientSeq), timestamp: 7n }, `${seq}`);
    this.log.push({ seq, frame, payloadHash: 0 });
    const place = { seq, head: seq, timestampMs: 7 };
    this.#note(sender, this.ring.append({ frame, payload: "custom", ...place, sender, clientSeq, version: 0 }));
  }

  ephemeral(userId: string, type: string, value: string): void {
    const sender = clientKey(userId, "c");
    const frame = this.#frame({ userId }, `${type}=${value}`);
    const place = { seq: 0, head: this.log.length, clientSeq: 0, timestampMs: 0, version: 0 };
    const index = this.ring.append({ frame, payload: "custom", sender, ...place });
    this.ephemerals.put(type, { frame, sender, index });
    this.#note(sender, index);
  }

  flush(): void {
    for (const { reader } of this.readers.values()) reader.pump();
  }

  async settle(): Promise<void> {
    for (let round = 0; round < 10_000; round++) {
      for (const { outlet, reader } of this.readers.values()) {
        outlet.goOn();
        reader.pump();
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
      assert.deepEqual(this.failures, []);
      if ([...this.readers.values()].every(({ reader }) => reader.drained)) return;
    }
    assert.fail("the readers never came to rest");
  }

  #frame(fields: { userId: string; seq?: bigint; clientSeq?: bigint; timestamp?: bigint }, type: string): Uint8Array {
    const padding = new Uint8Array(Math.floor(this.#random() * 200));
    const payload = { case: "custom", value: { type, data: padding } } as const;
    return encodeFrame(
      SessionMessageSchema,
      create(SessionMessageSchema, { ...fields, clientId: "c", payload }),
      "binary",
    );
  }

  #note(sender: string, index: number): void {
    this.readers.get(sender)?.reader.noteOwn(index);
  }
}

/** What a reader got: seqs in order, its own told as Acks, and the last of each ephemeral slot. */
function read(world: World, key: string) {
  const found = world.readers.get(key);
  assert.ok(found !== undefined);
  const seqs: number[] = [];
  let acks = 0;
  const slots = new Map<string, string>();
  for (const { payload, seq, userId, clientSeq, timestamp } of found.outlet.got) {
    if (payload.case === "ack") {
      assert.equal(timestamp, 7n, "an Ack has its record's time");
      acks += 1;
      seqs.push(Number(payload.value.seq));
      assert.ok(Number(payload.value.clientSeq) >= found.ackFrom);
    } else if (payload.case === "custom" && seq > 0n) {
      const own = clientKey(userId, "c") === key;
      assert.ok(!own || Number(clientSeq) < found.ackFrom, "an own record came whole");
      seqs.push(Number(seq));
    } else if (payload.case === "custom") {
      assert.notEqual(clientKey(userId, "c"), key, "an own ephemeral came back");
      const [type = "", value = ""] = payload.value.type.split("=");
      slots.set(`${userId} ${type}`, value);
    }
  }
  return { seqs, acks, slots, outlet: found.outlet, fromSeq: found.fromSeq };
}

describe("a reader", () => {
  test("ST50 whatever its speed, a reader gets every record once and in order, its own as Acks, and the newest of each ephemeral", async () => {
    let logReads = 0;
    let waits = 0;
    let acks = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const random = createRandom(seed);
      const world = new World(random, 4_000);
      const newest = new Map<string, string>();
      const formOf = (index: number) => (["binary", "json", "text"] as const)[(seed + index) % 3];
      world.join("ann", 0, 1, 1, formOf(0));
      world.join("bob", 0.2, 1, 1, formOf(1));
      world.join("cy", 0.9, 1, 1, formOf(2));
      for (let step = 1; step <= 300; step++) {
        const user = ["ann", "bob", "cy"][Math.floor(random() * 3)] ?? "ann";
        if (random() < 0.7) world.record(user);
        else {
          world.ephemeral(user, "cursor", String(step));
          newest.set(`${user} cursor`, String(step));
        }
        if (random() < 0.5) world.flush();
        if (random() < 0.1) for (const { outlet } of world.readers.values()) outlet.goOn();
        if (random() < 0.1)
          for (const { reader } of world.readers.values()) reader.tell({ case: "heartbeat", value: {} });
        if (random() < 0.1) await new Promise<void>((resolve) => setImmediate(resolve));
        if (step === 150)
          world.join("dee", 0.5, Math.floor(random() * world.log.length) + 1, Number.POSITIVE_INFINITY, formOf(0));
      }
      await world.settle();
      for (const key of world.readers.keys()) {
        const reader = read(world, key);
        const expected = Array.from(
          { length: world.log.length - reader.fromSeq + 1 },
          (_, index) => index + reader.fromSeq,
        );
        assert.deepEqual(reader.seqs, expected, `seed ${seed}, ${key}`);
        for (const [slot, value] of newest) {
          const [user = ""] = slot.split(" ");
          const late = key === clientKey("dee", "c") && Number(value) <= 150;
          if (clientKey(user, "c") !== key && !late)
            assert.equal(reader.slots.get(slot), value, `seed ${seed}, ${key}`);
        }
        waits += reader.outlet.waits;
        acks += reader.acks;
      }
      logReads += world.logReads;
    }
    assert.ok(logReads > 100 && waits > 1_000 && acks > 1_000, `${logReads} ${waits} ${acks}: nothing was tried`);
  });

  test("ST51 frames that are ready together leave together, and one run of bytes serves all who keep up", () => {
    const world = new World(createRandom(7), 1 << 20);
    for (const user of ["ann", "bob"]) world.join(user, 0, 1, Number.POSITIVE_INFINITY);
    const before = [...world.readers.values()].map(({ outlet }) => outlet.writes);
    for (let n = 0; n < 20; n++) world.record("zoe");
    world.flush();
    const after = [...world.readers.values()].map(({ outlet }) => outlet.writes);
    assert.deepEqual(
      after,
      before.map((writes) => writes + 1),
    );
    const [run] = world.ring.runs(0, 20);
    assert.equal(world.ring.runs(0, 20)[0], run);
  });

  test("ST50 an Ack that waits in a piece of the log is not said again", async () => {
    const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
    const world = new World(createRandom(7), 1);
    for (let n = 0; n < 5; n++) world.record("ann");
    world.join("ann", 1, 1, 1);
    const found = world.readers.get(clientKey("ann", "c"));
    assert.ok(found !== undefined);
    const { reader, outlet } = found;
    // The Welcome is taken, the log is read; meanwhile an answer fills the outlet, so that the piece has to wait.
    outlet.goOn();
    await Promise.resolve();
    assert.equal(world.logReads, 1);
    reader.tell({ case: "heartbeat", value: {} });
    await turn();
    reader.repeat({ seq: 1, clientSeq: 1, version: 0, timestampMs: 7, payloadHash: 0 });
    await world.settle();
    assert.deepEqual(read(world, clientKey("ann", "c")).seqs, [1, 2, 3, 4, 5]);
  });

  for (const form of ["json", "text"] as const) {
    test(`WT7 frames that are ready together leave together as ${form}, and each was made once for all`, () => {
      const world = new World(createRandom(7), 1 << 20);
      for (const user of ["ann", "bob"]) world.join(user, 0, 1, Number.POSITIVE_INFINITY, form);
      const before = [...world.readers.values()].map(({ outlet }) => outlet.writes);
      for (let n = 0; n < 20; n++) world.record("zoe");
      const derive = () => assert.fail("made again");
      assert.throws(() => world.ring.derived(0, form, derive), /made again/);
      world.flush();
      for (let n = 0; n < 20; n++) world.ring.derived(n, form, derive);
      for (const { outlet } of world.readers.values()) assert.equal(outlet.got.length, 21);
      const after = [...world.readers.values()].map(({ outlet }) => outlet.writes);
      assert.deepEqual(
        after,
        before.map((writes) => writes + 1),
      );
    });

    test(`WT7 a write of ${form} gathers about 64 KiB and no more`, async () => {
      const world = new World(createRandom(7), 1 << 24);
      world.join("ann", 1, 1, Number.POSITIVE_INFINITY, form);
      const [reader] = world.readers.values();
      assert.ok(reader !== undefined);
      reader.outlet.goOn();
      await new Promise<void>((resolve) => setImmediate(resolve));
      for (let n = 0; n < 5_000; n++) world.record("zoe");
      const { largest } = reader.outlet;
      assert.ok(largest < 1_000, "nothing was gathered yet");
      reader.reader.pump();
      assert.ok(reader.outlet.largest >= 64 * 1024 && reader.outlet.largest < 65 * 1024, `${reader.outlet.largest}`);
    });
  }

  for (const form of ["binary", "json", "text"] as const) {
    test(`SR2 one write is 64 KiB and a frame at most, in ${form}, from the ring, from the log, of what was skipped`, async () => {
      for (const [ringBytes, step] of [
        [1 << 24, undefined],
        [10_000, "log"],
      ] as const) {
        const world = new World(createRandom(7), ringBytes);
        world.pieceBytes = Number.POSITIVE_INFINITY;
        world.join("ann", 1, 1, 1, form);
        const [found] = world.readers.values();
        assert.ok(found !== undefined);
        await world.settle();
        for (let n = 0; n < 2_000; n++) world.ephemeral(`user${n}`, "cursor", String(n));
        for (let n = 0; n < 5_000; n++) world.record(n % 10 === 0 ? "ann" : "zoe");
        await world.settle();
        const { seqs, slots, outlet } = read(world, clientKey("ann", "c"));
        assert.equal(seqs.length, 5_000);
        assert.equal(slots.size, 2_000);
        assert.ok(outlet.largest > 60_000 && outlet.largest < 66_000, `${outlet.largest}`);
        assert.equal(world.meters.readerSteps.get("log") > 0, step === "log");
        assert.equal(world.meters.readerSteps.get("conflated") > 2, step === "log");
      }
    });
  }

  test("SR1 what was skipped is told whole, also where the ring goes on again while it is told piece by piece", async () => {
    const world = new World(createRandom(7), 10_000);
    world.join("ann", 0, 1, 1);
    const [found] = world.readers.values();
    assert.ok(found !== undefined);
    await world.settle();
    const { reader, outlet } = found;
    const senders = 2_000;
    for (let n = 0; n < senders; n++) world.ephemeral(`user${n}`, "cursor", String(n));
    world.pieceBytes = Number.POSITIVE_INFINITY;
    outlet.slowness = 1;
    for (let round = 0; round < 50 && !reader.drained; round++) {
      reader.pump();
      await new Promise<void>((resolve) => setImmediate(resolve));
      for (let n = 0; round % 3 === 0 && n < 100; n++) world.record("zoe");
      world.ephemerals.forgetBefore(reader.oldestEntry);
      outlet.goOn();
    }
    assert.ok(world.steps.conflated > 2 && world.steps.log > 2, JSON.stringify(world.steps));
    outlet.slowness = 0;
    await world.settle();
    const { slots, seqs } = read(world, clientKey("ann", "c"));
    assert.deepEqual([slots.size, seqs.length], [senders, world.log.length]);
  });

  test("SR2 answers of 128 KiB may wait for a reader that is behind, and no more; what it took is no burden", () => {
    const world = new World(createRandom(7), 1 << 20);
    world.join("ann", 0, 1, 1);
    world.join("bob", 1, 1, 1);
    const [ann, bob] = [...world.readers.values()].map(({ reader }) => reader);
    assert.ok(ann !== undefined && bob !== undefined);
    const message = "x".repeat(1_000);
    const tell = (reader: Reader) => reader.tell({ case: "fault", value: { message } });
    for (let n = 0; n < 1_000; n++) tell(ann);
    for (let n = 0; n < 125; n++) tell(bob);
    assert.equal(world.failures.length, 0);
    for (let n = 0; n < 10; n++) tell(bob);
    assert.ok(world.failures.length > 0);
    for (const failure of world.failures)
      assert.ok(failure instanceof BatonError && failure.reason === "SLOW_CONSUMER");
  });
});
