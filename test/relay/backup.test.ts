import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import { writeBackup } from "../../src/cli/backup-file.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { verifyDatabase } from "../../src/durable/sqlite-verify.ts";
import { FaultSchema, Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { backupBytesHeader, backupPath } from "../../src/relay/admin/backup.ts";
import { edit, type RelaySetup, type Stream, startRelay, type TestRelay } from "./harness.ts";
import { assertAlive, until } from "./operators.ts";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "baton-backup-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function openRelay(name: string, setup: RelaySetup = {}) {
  const log = await openSqliteLog({ path: join(folder, name, "baton.sqlite"), now: Date.now });
  const relay = await startRelay({ ...setup, log, openBackup: log.openBackup });
  return {
    relay,
    async close() {
      await relay.stop();
      await log.close();
    },
  };
}

async function ask(relay: TestRelay, token: string | undefined, method = "POST"): Promise<Response> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return await fetch(`${relay.url}${backupPath}`, { method, headers });
}

const operatorToken = (relay: TestRelay, sessions: readonly string[] = ["*"]) =>
  relay.token({ sub: "operator", sessions, scope: "session:admin" });

/** Types `count` characters into a file, each acked before the next. */
async function type(stream: Stream, first: number, count: number): Promise<void> {
  for (let n = first; n < first + count; n++) {
    stream.send(edit("a.ts", n - 1, 0, 0, String(n % 10)), { clientSeq: BigInt(n) });
    await stream.take("ack");
  }
}

for (const listener of [undefined, "node:http2"] as const) {
  describe(`a backup over HTTP${listener === undefined ? "" : `, ${listener}`}`, () => {
    test("BK5 an operator of everything gets the whole database, while people type", async () => {
      const { relay, close } = await openRelay(`typed-${listener}`, { listener });
      try {
        const alice = await relay.join({ clientId: "a" });
        await type(alice, 1, 5);
        const response = await ask(relay, await operatorToken(relay));
        assert.equal(response.status, 200);
        assert.equal(response.headers.get("cache-control"), "no-store");
        await type(alice, 6, 3);
        const bytes = new Uint8Array(await response.arrayBuffer());
        assert.equal(bytes.length, Number(response.headers.get(backupBytesHeader)));
        const copy = join(folder, `copy-${listener}.sqlite`);
        writeFileSync(copy, bytes);
        assert.deepEqual(await verifyDatabase(copy), { sessions: 1, records: 5, damaged: [] });
        await type(alice, 9, 1);
        // And there is another one to be had.
        assert.equal((await ask(relay, await operatorToken(relay))).status, 200);
      } finally {
        await close();
      }
    });

    test("BK5 a caller that goes away lets the store go", async () => {
      const { relay, close } = await openRelay(`gone-${listener}`, {
        listener,
        limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 },
      });
      try {
        const alice = await relay.join({ clientId: "a" });
        const text = "x".repeat(60_000);
        // More than any buffer between the two holds.
        for (let n = 1; n <= 300; n++) {
          alice.send(edit(`${n % 200}.ts`, Math.floor((n - 1) / 200), 0, 0, text), { clientSeq: BigInt(n) });
          if (n % 10 === 0)
            await alice.takeMessage(
              "ack",
              ({ payload }) => payload.case === "ack" && payload.value.clientSeq === BigInt(n),
            );
        }
        const gone = new AbortController();
        const headers = { authorization: `Bearer ${await operatorToken(relay)}` };
        const response = await fetch(`${relay.url}${backupPath}`, { method: "POST", headers, signal: gone.signal });
        const reader = response.body?.getReader();
        await reader?.read();
        const busy = await ask(relay, await operatorToken(relay));
        assert.equal(busy.status, 503);
        assert.match(await busy.text(), /another backup is under way/);
        gone.abort();
        await until(async () => {
          const next = await ask(relay, await operatorToken(relay));
          await next.arrayBuffer();
          return next.status === 200;
        });
      } finally {
        await close();
      }
    });
  });
}

describe("who gets a backup", () => {
  test("BK6 nobody but an operator of every session", async () => {
    const { relay, close } = await openRelay("guarded");
    try {
      const tries = [
        [undefined, 401, "TOKEN_INVALID"],
        ["not a token", 401, "TOKEN_INVALID"],
        [await relay.token({ sessions: ["*"] }), 403, "SCOPE_MISSING"],
        [await operatorToken(relay, ["demo"]), 403, "SESSION_FORBIDDEN"],
        [await operatorToken(relay, ["d*"]), 403, "SESSION_FORBIDDEN"],
      ] as const;
      for (const [token, status, reason] of tries) {
        const response = await ask(relay, token);
        const error = errorFromJson(await response.json(), undefined, new ConnectError("no error of Connect"));
        assert.equal(error.findDetails(FaultSchema)[0]?.reason, reason, error.message);
        assert.equal(response.status, status);
      }
      assert.equal((await ask(relay, await operatorToken(relay), "GET")).status, 404);
      const page = await fetch(`${relay.url}${backupPath}`, {
        method: "POST",
        headers: { authorization: `Bearer ${await operatorToken(relay)}`, origin: "https://elsewhere.example" },
      });
      assert.equal(page.status, 403);
      await page.text();
    } finally {
      await close();
    }
  });

  test("BK6 a relay that keeps its log in memory has none", async () => {
    const relay = await startRelay();
    try {
      const response = await ask(relay, await operatorToken(relay));
      assert.equal(response.status, 404);
      assert.match(await response.text(), /in memory/);
    } finally {
      await relay.stop();
    }
  });
});

describe("a backup that does not arrive whole", () => {
  async function* pieces(count: number, error?: Error) {
    for (let n = 0; n < count; n++) yield new Uint8Array(1_000);
    if (error !== undefined) throw error;
  }

  for (const [what, chunks, pattern] of [
    ["ends early", () => pieces(2), /broken off/],
    ["is cut off", () => pieces(2, new Error("ECONNRESET")), /broken off/],
    ["is no database", () => pieces(3), /is damaged or no database/],
  ] as const) {
    test(`BK10 leaves nothing behind where it ${what}`, async () => {
      const path = join(folder, "whole", "b.sqlite");
      mkdirSync(join(folder, "whole"), { recursive: true });
      await assert.rejects(writeBackup(path, 3_000, chunks()), pattern);
      assert.deepEqual(readdirSync(join(folder, "whole")), []);
    });
  }
});

describe("a backup that is put in place", () => {
  test("BK7 has the sessions of then, each under a new epoch: whoever saw what came after it is resynced", async () => {
    const first = await openRelay("before");
    const alice = await first.relay.join({ clientId: "a" });
    const { epoch, resumeToken } = await alice.take("welcome");
    await type(alice, 1, 3);
    const response = await ask(first.relay, await operatorToken(first.relay));
    assert.ok(response.body !== null);
    const path = join(folder, "after", "baton.sqlite");
    mkdirSync(join(folder, "after"));
    await writeBackup(path, Number(response.headers.get(backupBytesHeader)), response.body);
    // What came after the backup: alice knows of it, her token does not.
    await type(alice, 4, 2);
    await first.close();

    const restored = await openRelay("after");
    let held = "";
    try {
      const carol = await restored.relay.join({ as: "carol", clientId: "c" });
      const fresh = await carol.take("welcome");
      held = fresh.epoch;
      assert.notEqual(fresh.epoch, epoch);
      assert.equal((await carol.take("snapshot")).files[0]?.content, "321");
      // The seqs that alice has seen have another content by now.
      carol.send(edit("c.ts", 0, 0, 0, "c"), { clientSeq: 1n });
      await carol.take("ack");
      for (let n = 2n; n <= 4n; n++) await assertAlive(carol, n);
      const back = await restored.relay.join({ resumeToken, lastSeq: 5n });
      const welcome = await back.take("welcome");
      assert.deepEqual([welcome.outcome, welcome.headSeq, welcome.lastClientSeq], [Outcome.RESYNCED, 7n, 3n]);
      const { files } = await back.take("snapshot");
      assert.deepEqual(
        files.map(({ content }) => content),
        ["321", "c"],
      );
      await type(back, 4, 1);
    } finally {
      await restored.close();
    }
    // Once: a relay that is started again goes on.
    const again = await openRelay("after");
    try {
      const dave = await again.relay.join({ as: "dave" });
      assert.equal((await dave.take("welcome")).epoch, held);
    } finally {
      await again.close();
    }
  });
});
