import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionBus } from "../../src/durable/session-bus.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { tick, tickMs } from "../../src/relay/ticker.ts";
import { startRelay } from "../relay/harness.ts";
import { say } from "./pair.ts";

/** Counts what it is asked, by name. */
class Counted {
  readonly counts = new Map<string, number>();
  readonly log: SessionLog;
  readonly bus: SessionBus;

  constructor(log: SessionLog, bus: SessionBus) {
    this.log = {
      ...log,
      describe: (...args) => this.#count("describe", log.describe(...args)),
      claim: (...args) => this.#count("claim", log.claim(...args)),
      append: (...args) => this.#count("append", log.append(...args)),
      read: (...args) => this.#count("read", log.read(...args)),
      latestSnapshot: (...args) => this.#count("latestSnapshot", log.latestSnapshot(...args)),
      putSnapshot: (...args) => this.#count("putSnapshot", log.putSnapshot(...args)),
      list: (...args) => this.#count("list", log.list(...args)),
      revocations: (...args) => this.#count("revocations", log.revocations(...args)),
    };
    this.bus = {
      ...bus,
      publish: (sessionId, message) => this.#count(message.kind, bus.publish(sessionId, message)),
      announce: (message) => this.#count(message.kind, bus.announce(message)),
    };
  }

  #count<T>(name: string, outcome: T): T {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    return outcome;
  }

  /** Since it was taken last. */
  take(): Readonly<Record<string, number>> {
    const taken = Object.fromEntries(this.counts);
    this.counts.clear();
    return taken;
  }
}

const minuteMs = 60_000;
const sessions = 5;

describe("an instance on which nobody says anything", () => {
  test("MI19 asks for what was revoked every 2 s, and of each session that somebody is in looks at the log every 4 to 5 s", async () => {
    const counted = new Counted(createMemoryLog(Date.now), createLocalBus().member());
    const limits = { heartbeatMs: 10 * minuteMs, idleMs: 10 * minuteMs, roomIdleMs: 10 * minuteMs };
    const relay = await startRelay({ log: counted.log, bus: counted.bus, isClockStill: true, limits });
    const pass = async (ms: number) => {
      for (let leftMs = ms; leftMs > 0; leftMs -= tickMs) {
        relay.advance(tickMs);
        tick(relay.relay);
        // What it asked is answered.
        for (let turns = 0; turns < 3; turns++) await new Promise<void>((resolve) => setImmediate(resolve));
      }
    };
    const minute = async () => {
      counted.take();
      await pass(minuteMs);
      return counted.take();
    };
    try {
      assert.deepEqual(await minute(), { revocations: 30, instance: 6, list: 1 });
      const streams = await Promise.all(
        Array.from({ length: sessions }, (_, index) => relay.join({ session: `s${index}`, clientId: "c" })),
      );
      for (const stream of streams) await stream.take("welcome");
      for (const stream of streams) await say(stream, 1);
      await pass(10_000);
      const { read = 0, roster, ...others } = await minute();
      assert.deepEqual(others, { revocations: 30, instance: 6 });
      assert.equal(roster, 6 * sessions);
      assert.ok(read >= 11 * sessions && read <= 15 * sessions, `${read}`);
      for (const stream of streams) stream.finish();
      for (const stream of streams) await stream.ended;
      await pass(minuteMs);
      assert.deepEqual(await minute(), { revocations: 30, instance: 6 }, "the rooms are open, and nobody is in them");
    } finally {
      await relay.stop();
    }
  });
});
