import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import {
  Fault_Action as Action,
  Join_History as History,
  Welcome_Outcome as Outcome,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit, type Stream, startRelay } from "./harness.ts";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "baton-relay-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const openRelay = async (name: string, limits = {}) =>
  startRelay({ limits, log: await openSqliteLog({ path: join(folder, name, "baton.sqlite"), now: Date.now }) });

/** Types `count` characters into a file, each acked before the next. */
async function type(stream: Stream, first: number, count: number): Promise<void> {
  for (let n = first; n < first + count; n++) {
    stream.send(edit("a.ts", n - 1, 0, 0, String(n % 10)), { clientSeq: BigInt(n) });
    await stream.take("ack");
  }
}

describe("sessions outlive the relay", () => {
  test("ST30 a relay started again has the sessions, resumes its clients, and knows what they sent", async () => {
    const relay = await openRelay("again");
    const alice = await relay.join({ clientId: "a" });
    const { resumeToken, epoch } = await alice.take("welcome");
    await type(alice, 1, 3);
    await relay.stop();
    await relay.log.close();

    const again = await openRelay("again");
    const back = await again.join({ resumeToken, lastSeq: 2n, pendingFrom: 3n });
    const welcome = await back.take("welcome");
    assert.deepEqual(
      [welcome.outcome, welcome.epoch, welcome.headSeq, welcome.lastClientSeq],
      [Outcome.RESUMED, epoch, 3n, 3n],
    );
    const ack = await back.take("ack");
    assert.deepEqual([ack.clientSeq, ack.seq, ack.version], [3n, 3n, 3]);
    back.send(edit("a.ts", 2, 0, 0, "3"), { clientSeq: 3n });
    assert.equal((await back.take("ack")).seq, 3n);
    await type(back, 4, 1);
    assert.equal((await again.log.describe("demo"))?.head, 4);
    await again.stop();
    await again.log.close();
  });

  test("RS5 RS1 what was trimmed is never skipped: a snapshot stands in for it, on a resume and on FULL", async () => {
    const limits = { snapshotRecords: 10, logRecords: 20, messagesPerSecond: 1e6, messagesBurst: 1e6 };
    const relay = await openRelay("trimmed", limits);
    const alice = await relay.join({ clientId: "a" });
    const bob = await relay.join({ as: "bob", clientId: "b" });
    const { resumeToken } = await bob.take("welcome");
    await bob.take("snapshot");
    bob.cut();
    await type(alice, 1, 100);
    const back = await relay.join({ as: "bob", resumeToken, lastSeq: 1n });
    assert.equal((await back.take("welcome")).outcome, Outcome.RESYNCED);
    const snapshot = await back.take("snapshot");
    assert.deepEqual([snapshot.seq, snapshot.files[0]?.content.length], [100n, 100]);

    const full = await relay.join({ as: "full", history: History.FULL });
    const first = await full.take("snapshot");
    const kept = await relay.log.describe("demo");
    assert.ok(kept !== undefined && kept.first > 50 && kept.head - kept.first + 1 >= 20, `first ${kept?.first}`);
    assert.equal(Number(first.seq), kept.first - 1);
    assert.equal(first.files[0]?.content.length, kept.first - 1);
    for (let seq = kept.first; seq <= 100; seq++) assert.equal((await full.takeMessage("edit")).seq, BigInt(seq));
    await relay.stop();
    await relay.log.close();

    // And a room folded from what is left is the same.
    const again = await openRelay("trimmed", limits);
    const late = await again.join({ as: "late" });
    assert.equal((await late.take("snapshot")).files[0]?.content, snapshot.files[0]?.content);
    await again.stop();
    await again.log.close();
  });

  test("RD2 of the snapshots the newest two are kept, and of older ones a few; any state is folded from them", async () => {
    const limits = { snapshotRecords: 5, logRecords: 200, messagesPerSecond: 1e6, messagesBurst: 1e6 };
    const relay = await openRelay("thin", limits);
    const alice = await relay.join({ clientId: "a" });
    await type(alice, 1, 120);
    const kept: number[] = [];
    for (let seq = Number.MAX_SAFE_INTEGER; ; ) {
      const snapshot = await relay.log.latestSnapshot("demo", seq - 1);
      if (snapshot === undefined) break;
      seq = snapshot.seq;
      kept.push(seq);
    }
    assert.ok(kept.length >= 4 && kept.length <= 9, `${kept}`);
    const headers = { authorization: `Bearer ${await relay.token()}` };
    for (const atSeq of [1, 17, 60, 99, 120]) {
      for await (const part of relay.client().getSnapshot({ sessionId: "demo", atSeq: BigInt(atSeq) }, { headers })) {
        assert.equal(part.files[0]?.content.length, atSeq);
      }
    }
    await relay.stop();
    await relay.log.close();
  });

  test("RS7 a store that lost its tail starts a new epoch: live streams end, joins are resynced", async () => {
    const path = (name: string) => join(folder, name, "baton.sqlite");
    const relay = await openRelay("whole");
    const alice = await relay.join({ clientId: "a" });
    await alice.take("welcome");
    await type(alice, 1, 2);
    await relay.stop();
    await relay.log.close();
    copyFileSync(path("whole"), join(folder, "old.sqlite"));

    const longer = await openRelay("whole");
    const bob = await longer.join({ as: "bob", clientId: "b" });
    await bob.take("welcome");
    bob.send(edit("b.ts", 0, 0, 0, "b"), { clientSeq: 1n });
    await bob.take("ack");
    const again = await longer.join({ as: "bob", clientId: "b" });
    const { resumeToken, epoch } = await again.take("welcome");
    await longer.stop();
    await longer.log.close();

    copyFileSync(join(folder, "old.sqlite"), path("whole"));
    const restored = await openRelay("whole");
    const carol = await restored.join({ as: "carol" });
    assert.equal((await carol.take("welcome")).epoch, epoch);
    const back = await restored.join({ as: "bob", resumeToken, lastSeq: 3n });
    const welcome = await back.take("welcome");
    assert.equal(welcome.outcome, Outcome.RESYNCED);
    assert.notEqual(welcome.epoch, epoch);
    assert.deepEqual([welcome.headSeq, welcome.lastClientSeq], [2n, 0n]);
    const { fault } = await carol.ended;
    assert.deepEqual([fault?.reason, fault?.action], ["EPOCH_CHANGED", Action.RESYNC]);
    await restored.stop();
    await restored.log.close();
  });
});
