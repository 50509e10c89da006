/** What a hostile client tried, with nothing but a good token: each of these succeeded once. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { openBody } from "../wire/raw.ts";
import { edit, startRelay } from "./harness.ts";

const custom = { case: "custom", value: { type: "t" } } as const;

describe("a hostile client", () => {
  test("ST54 a cursor names a valid path; whoever joins is told of all others, however much that is", async () => {
    const relay = await startRelay({ limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 } });
    try {
      const attacker = await relay.join({ as: "attacker" });
      await attacker.take("welcome");
      attacker.send({ case: "cursor", value: { filePath: "p".repeat(200_000), line: 1 } });
      assert.equal((await attacker.take("fault")).reason, "PATH_INVALID");
      // As many as may write, with the longest names and paths that they may have: more than 256 KiB.
      const crowd = await Promise.all(
        Array.from({ length: 190 }, (_, n) => relay.join({ as: `${n}-${"ü".repeat(250)}`.slice(0, 250) })),
      );
      for (const one of crowd) {
        await one.take("welcome");
        one.send({ case: "presence", value: { status: Status.ACTIVE, displayName: "ü".repeat(128) } });
        one.send({ case: "cursor", value: { filePath: "ü".repeat(512), line: 1 } });
      }
      await new Promise((resolve) => setTimeout(resolve, 300));
      const late = await relay.join({ as: "late" });
      const { participants } = await late.take("welcome");
      assert.equal(participants.length, 192);
      assert.ok(participants.filter(({ cursor }) => cursor !== undefined).length > 100);
    } finally {
      await relay.stop();
    }
  });

  test("ST55 one stream that floods is read no faster than it may send, and others are served meanwhile", async () => {
    const relay = await startRelay();
    try {
      // As raw as can be: 20,000 messages of a few bytes behind the Join, in one chunk.
      const frame = (json: string) => [0, 0, 0, 0, json.length, ...new TextEncoder().encode(json)];
      const flood = [
        ...frame('{"sessionId":"demo","join":{}}'),
        ...Array.from({ length: 20_000 }, () => frame("{}")).flat(),
      ];
      const abort = new AbortController();
      const response = await fetch(`${relay.url}/codereview.v1.CodeReviewService/CollaborativeSession`, {
        method: "POST",
        signal: abort.signal,
        headers: {
          "content-type": "application/connect+json",
          authorization: `Bearer ${await relay.token({ sub: "flood" })}`,
        },
        ...openBody(new Uint8Array(flood)),
      });
      let answered = "";
      const reading = (async () => {
        const decoder = new TextDecoder();
        for await (const chunk of response.body ?? []) answered += decoder.decode(chunk);
      })().catch(() => undefined);
      const other = await relay.join({ as: "other" });
      for (let n = 1; n <= 20; n++) {
        other.send(custom, { clientSeq: BigInt(n) });
        await other.take("ack");
      }
      // By now all would have been read, were it read as fast as it comes; at 50 a second it is not.
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      abort.abort();
      await reading;
      const faults = answered.split("RATE_LIMITED").length - 1;
      assert.ok(faults > 0 && faults < 1_000, `${faults} faults`);
    } finally {
      await relay.stop();
    }
  });

  test("ST5 a Publish of more than the rate allows: what comes before that is taken, and told", async () => {
    const relay = await startRelay({ limits: { messagesPerSecond: 1, messagesBurst: 10 } });
    try {
      const headers = { authorization: `Bearer ${await relay.token()}` };
      const messages = Array.from({ length: 15 }, (_, n) => ({ clientSeq: BigInt(n + 1), payload: custom }));
      const { replies } = await relay.client().publish({ sessionId: "demo", clientId: "c", messages }, { headers });
      const kinds = replies.map(({ payload }) => (payload.case === "fault" ? payload.value.reason : payload.case));
      assert.deepEqual(kinds, [...Array.from({ length: 9 }, () => "ack"), "RATE_LIMITED"]);
      assert.equal((await relay.log.describe("demo"))?.head, 9);
    } finally {
      await relay.stop();
    }
  });

  test("ED19 files that are made and deleted count as their names: a session is bounded all the same", async () => {
    const relay = await startRelay({ limits: { messagesPerSecond: 1e6, messagesBurst: 1e6, sessionBytes: 5_000 } });
    try {
      const alice = await relay.join();
      let n = 1;
      for (; !alice.kinds().includes("fault") && n < 40; n += 2) {
        const path = `${n}-${"x".repeat(400)}`;
        alice.send(edit(path, 0, 0, 0, "x"), { clientSeq: BigInt(n) });
        alice.send(
          { case: "edit", value: { filePath: path, version: 1, deleted: true } },
          { clientSeq: BigInt(n + 1) },
        );
        const answers = () => alice.kinds().filter((kind) => kind === "ack" || kind === "fault").length;
        while (answers() < n + 1) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const { reason } = await alice.take("fault");
      assert.ok(n > 10, "some were taken first");
      assert.equal(reason, "DOCUMENT_TOO_LARGE");
    } finally {
      await relay.stop();
    }
  });
});
