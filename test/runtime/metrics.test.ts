import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet } from "../../src/auth/keys.ts";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { isLoopback } from "../../src/runtime/loopback.ts";
import { type RelayConfig, type StartedRelay, startRelay } from "../../src/runtime/start-relay.ts";
import { runtimeTitle } from "../../src/runtime/this-runtime.ts";
import { readVersion } from "../../src/runtime/version.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { makeFolder } from "../durable/sqlite-folder.ts";
import { parseScrape } from "../relay/metrics/scrape.ts";

const secret = new TextEncoder().encode("a secret of the tests, thirty-two bytes long");
const imported = await importSecret(secret);
if (imported.kind === "refused") throw new Error(imported.message);
const keys = createKeySet(imported.keys);

const running: StartedRelay[] = [];
const removals: (() => void)[] = [];
after(async () => {
  for (const relay of running) await relay.close();
  for (const remove of removals) remove();
});

async function start(config: Partial<RelayConfig> = {}) {
  const { folder: dataDir, remove } = makeFolder();
  removals.push(remove);
  const relay = await startRelay({
    host: "127.0.0.1",
    port: 0,
    dataDir,
    log: "sqlite",
    keys,
    limits: { ...defaultLimits, drainMs: 500 },
    ...config,
  });
  running.push(relay);
  return { relay, dataDir };
}

describe("the metrics of a relay that was started", () => {
  test("MT13 tell what runs, how large SQLite's files are, and of the process", async () => {
    const { relay, dataDir } = await start();
    const transport = createConnectTransport({ baseUrl: relay.url, httpVersion: "2" });
    const claims = { sub: "alice", sessions: ["demo"], scope: "session:custom", ttlSeconds: 60 };
    const authorization = `Bearer ${await signDevelopmentToken(secret, claims, Date.now())}`;
    const value = { type: "t", data: new Uint8Array(50_000) };
    const messages = [{ clientSeq: 1n, payload: { case: "custom", value } as const }];
    await createClient(CodeReviewService, transport).publish(
      { sessionId: "demo", clientId: "tab", messages },
      { headers: { authorization } },
    );
    const answer = await fetch(`${relay.url}/metrics`);
    assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    const told = parseScrape(await answer.text());
    assert.equal(told.sum("baton_build_info", { version: readVersion(), runtime: runtimeTitle }), 1);
    const path = join(dataDir, "baton.sqlite");
    assert.equal(told.sum("baton_log_file_bytes", { file: "database" }), statSync(path).size);
    assert.equal(told.sum("baton_log_file_bytes", { file: "wal" }), statSync(`${path}-wal`).size);
    assert.ok(told.sum("baton_log_file_bytes") > 50_000);
    assert.ok(told.sum("process_resident_memory_bytes") > 1_000_000);
    assert.ok(told.sum("process_cpu_seconds_total") > 0);
  });

  test("MT13 have no file where the log is in memory, and two relays in one process do not mix", async () => {
    const { relay } = await start({ log: "memory" });
    const told = parseScrape(await (await fetch(`${relay.url}/metrics`)).text());
    assert.equal(
      told.series.some(({ name }) => name === "baton_log_file_bytes"),
      false,
    );
    assert.equal(told.sum("baton_publishes_total", { reason: "OK" }), 0);
  });

  test("MT10 are shown with the token that was set, on both ports; without one, on this machine alone", async () => {
    const metricsToken = "a-token-of-the-tests-0123456789";
    const { relay } = await start({ log: "memory", grpcPort: 0, metricsToken });
    for (const url of [relay.url, relay.grpcUrl]) {
      assert.equal((await fetch(`${url}/metrics`)).status, 401);
      const headers = { authorization: `Bearer ${metricsToken}` };
      assert.equal((await fetch(`${url}/metrics`, { headers })).status, 200);
    }
    const open = await start({ log: "memory", host: "0.0.0.0" });
    const url = open.relay.url.replace("0.0.0.0", "127.0.0.1");
    assert.equal((await fetch(`${url}/metrics`)).status, 403);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
  });

  test("MT10 which hosts are this machine alone", () => {
    for (const host of ["127.0.0.1", "127.8.9.1", "localhost", "::1"]) assert.ok(isLoopback(host), host);
    for (const host of [
      "0.0.0.0",
      "::",
      "10.0.0.1",
      "baton.example.com",
      "127.0.0.1.example.com",
      "::ffff:127.0.0.1",
    ]) {
      assert.ok(!isLoopback(host), host);
    }
  });
});
