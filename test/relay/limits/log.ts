import assert from "node:assert/strict";
import type { Payload, TestRelay } from "../harness.ts";
import { until } from "../operators.ts";
import { type AtLimit, answerTo, custom, enter, withRelay } from "./with-relay.ts";

const snapshotAt = async (relay: TestRelay) => (await relay.log.latestSnapshot("demo"))?.seq ?? 0;
const kept = async (relay: TestRelay) => {
  const state = await relay.log.describe("demo");
  assert.ok(state);
  return { records: state.head - state.first + 1, bytes: state.bytes };
};

export const log = {
  async snapshotRecords() {
    await withRelay({ snapshotRecords: 4 }, async (relay) => {
      const alice = await enter(relay);
      for (let n = 1n; n <= 3n; n++) assert.equal(await answerTo(alice, custom, n), "ack");
      assert.equal(await snapshotAt(relay), 0);
      assert.equal(await answerTo(alice, custom, 4n), "ack");
      await until(async () => (await snapshotAt(relay)) === 4);
    });
  },

  async logRecords() {
    await withRelay({ snapshotRecords: 1, logRecords: 6 }, async (relay) => {
      const alice = await enter(relay);
      let n = 0n;
      const write = async () => {
        assert.equal(await answerTo(alice, custom, ++n), "ack");
        await until(async () => (await snapshotAt(relay)) === Number(n));
      };
      while (n < 6n) await write();
      assert.equal((await kept(relay)).records, 6);
      await write();
      await until(async () => (await kept(relay)).records === 6);
      await write();
      await until(async () => (await kept(relay)).records === 6);
    });
  },

  async logBytes() {
    const message: Payload = { case: "custom", value: { data: new Uint8Array(1000) } };
    let bytesOfSix = 0;
    const write = async (relay: TestRelay, records: bigint) => {
      const alice = await enter(relay);
      for (let n = 1n; n <= records; n++) {
        assert.equal(await answerTo(alice, message, n), "ack");
        await until(async () => (await snapshotAt(relay)) === Number(n));
      }
    };
    await withRelay({ snapshotRecords: 1 }, async (relay) => {
      await write(relay, 6n);
      bytesOfSix = (await kept(relay)).bytes;
    });
    for (const [logBytes, isTrimmed] of [
      [bytesOfSix, false],
      [bytesOfSix - 1, true],
    ] as const) {
      await withRelay({ snapshotRecords: 1, logRecords: 10, logBytes }, async (relay) => {
        await write(relay, 6n);
        if (isTrimmed) await until(async () => (await kept(relay)).records < 6);
        const { records, bytes } = await kept(relay);
        assert.equal(records === 6, !isTrimmed);
        assert.ok(bytes <= logBytes);
      });
    }
  },
} satisfies Record<string, AtLimit>;
