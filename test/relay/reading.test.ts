import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import {
  GetSnapshotRequestSchema,
  ReadLogRequestSchema,
  SessionMessageSchema,
  SnapshotSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { envelop } from "../../src/relay/wire/envelope.ts";
import { endOf, readText, splitFrames } from "../wire/raw.ts";
import { edit, startRelay, type TestRelay } from "./harness.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay();
});
after(() => relay.stop());

/** A session of three records, and the headers of somebody who may read it. */
async function sessionOfThree(session: string) {
  const alice = await relay.join({ session });
  alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
  alice.send({ case: "custom", value: { type: "between" } }, { clientSeq: 2n });
  await alice.take("ack");
  await alice.take("ack");
  alice.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 3n });
  await alice.take("ack");
  const token = await relay.token({ sub: "eve", sessions: [session], scope: "session:read" });
  return { authorization: `Bearer ${token}` };
}

describe("reading a session without joining it", () => {
  for (const kind of ["connect", "connect-json", "grpc-web"] as const) {
    test(`RD1 ReadLog gives the records of a range as they were sent: ${kind}`, async () => {
      const session = `log-${kind}`;
      const headers = await sessionOfThree(session);
      const read = async (range: { fromSeq?: bigint; toSeq?: bigint }) => {
        const records = [];
        for await (const record of relay.client(kind).readLog({ sessionId: session, ...range }, { headers })) {
          const { seq, userId, clientSeq, payload } = record;
          records.push([seq, userId, clientSeq, payload.case]);
        }
        return records;
      };
      const all = [
        [1n, "alice", 1n, "edit"],
        [2n, "alice", 2n, "custom"],
        [3n, "alice", 3n, "edit"],
      ];
      assert.deepEqual(await read({}), all);
      assert.deepEqual(await read({ fromSeq: 2n, toSeq: 2n }), all.slice(1, 2));
      assert.deepEqual(await read({ fromSeq: 2n, toSeq: 99n }), all.slice(1));
      assert.deepEqual(await read({ fromSeq: 4n }), []);
    });
  }

  for (const kind of ["connect", "connect-json", "grpc-web"] as const) {
    test(`RD2 GetSnapshot gives the session folded up to a seq: ${kind}`, async () => {
      const session = `folded-${kind}`;
      const headers = await sessionOfThree(session);
      const textAt = async (atSeq: bigint) => {
        for await (const { seq, files } of relay.client(kind).getSnapshot({ sessionId: session, atSeq }, { headers })) {
          return [seq, files[0]?.content, files[0]?.version];
        }
        return [];
      };
      assert.deepEqual(await textAt(1n), [1n, "one", 1]);
      assert.deepEqual(await textAt(2n), [2n, "one", 1]);
      assert.deepEqual(await textAt(0n), [3n, "one two", 2]);
    });
  }

  test("WT1 the log and a snapshot are read as text", async () => {
    const session = "text";
    const headers = { ...(await sessionOfThree(session)), "content-type": "application/grpc-web-text" };
    const read = async <M extends DescMessage>(method: string, schema: M, request: Uint8Array) => {
      const response = await fetch(`${relay.url}/codereview.v1.CodeReviewService/${method}`, {
        method: "POST",
        headers,
        body: Buffer.from(envelop(request)).toString("base64"),
      });
      const bytes = readText(await response.text());
      assert.equal(endOf(bytes), undefined);
      return splitFrames(bytes)
        .slice(0, -1)
        .map(({ data }) => fromBinary(schema, data));
    };
    const logRequest = toBinary(ReadLogRequestSchema, create(ReadLogRequestSchema, { sessionId: session }));
    const records = await read("ReadLog", SessionMessageSchema, logRequest);
    assert.deepEqual(
      records.map(({ seq, payload }) => [seq, payload.case]),
      [
        [1n, "edit"],
        [2n, "custom"],
        [3n, "edit"],
      ],
    );
    const snapshotRequest = toBinary(
      GetSnapshotRequestSchema,
      create(GetSnapshotRequestSchema, { sessionId: session }),
    );
    const [snapshot] = await read("GetSnapshot", SnapshotSchema, snapshotRequest);
    assert.deepEqual([snapshot?.seq, snapshot?.files[0]?.content], [3n, "one two"]);
  });
});

describe("many who ask for snapshots", () => {
  test("RD5 of the head, the log is not read for any of them; of before, for four at a time", async () => {
    const log = createMemoryLog(Date.now);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let asked = 0;
    const counting = await startRelay({
      log: {
        ...log,
        read: async (...args) => {
          asked += 1;
          await released;
          return await log.read(...args);
        },
      },
    });
    try {
      const alice = await counting.join();
      for (const clientSeq of [1n, 2n]) {
        alice.send(edit("a.ts", Number(clientSeq) - 1, 0, 0, "x"), { clientSeq });
        await alice.take("ack");
      }
      const headers = { authorization: `Bearer ${await counting.token({ sub: "eve", scope: "session:read" })}` };
      const read = async (atSeq: bigint) => {
        const parts = [];
        for await (const part of counting.client().getSnapshot({ sessionId: "demo", atSeq }, { headers }))
          parts.push(part);
        return parts.map(({ seq, files }) => [seq, files[0]?.content]);
      };
      asked = 0;
      const heads = await Promise.all(Array.from({ length: 8 }, (_, index) => read(index % 2 === 0 ? 0n : 2n)));
      assert.deepEqual(
        heads,
        Array.from({ length: 8 }, () => [[2n, "xx"]]),
      );
      assert.equal(asked, 0);
      const before = Array.from({ length: 6 }, () => read(1n));
      await until(() => counting.relay.folds.load.waiting === 2);
      assert.equal(asked, 4);
      release();
      assert.deepEqual(
        await Promise.all(before),
        Array.from({ length: 6 }, () => [[1n, "x"]]),
      );
      assert.deepEqual([asked, counting.relay.folds.load], [6, { running: 0, waiting: 0 }]);
    } finally {
      release();
      await counting.stop();
    }
  });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
