import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { createMetricsRoutes, type MetricsAccess } from "../../../src/relay/metrics/routes.ts";

const source = (told: string) => ({ contentType: "text/plain; version=0.0.4", text: async () => told });
const token = "a-token-of-the-tests-0123456789";

const ask = async (access: MetricsAccess, authorization?: string) =>
  await createMetricsRoutes([source("a 1\n"), source("b 2\n")], access).request("/metrics", {
    headers: authorization === undefined ? {} : { authorization },
  });

describe("/metrics", () => {
  test("MT10 is open to all where it was opened, and tells what all its sources tell", async () => {
    const answer = await ask({ kind: "open" });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4");
    assert.equal(answer.headers.get("cache-control"), "no-store");
    assert.deepEqual((await answer.text()).split("\n").filter(Boolean), ["a 1", "b 2"]);
  });

  test("MT10 is told to whoever shows the token, and to nobody else", async () => {
    const access = { kind: "token", token } as const;
    assert.equal((await ask(access, `Bearer ${token}`)).status, 200);
    assert.equal((await ask(access, `bearer ${token}`)).status, 200);
    const others = [
      undefined,
      "",
      token,
      `Basic ${token}`,
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      "Bearer ",
      "Bearer x",
    ];
    for (const authorization of [...others, `Bearer ${token.toUpperCase()}`, `Bearer ${token} ${token}`]) {
      const answer = await ask(access, authorization);
      assert.equal(answer.status, 401, String(authorization));
      assert.equal(answer.headers.get("www-authenticate"), "Bearer");
      const told = await answer.text();
      assert.ok(!told.includes(token) && !told.includes("a 1"));
    }
  });

  test("MT10 is not told to whoever shows what is alike in a part", async () => {
    const lastByte = (text: string) => createHash("sha256").update(text).digest().at(-1);
    const alike = Array.from({ length: 10_000 }, (_, n) => `other-token-of-the-tests-${n}`).filter(
      (text) => lastByte(text) === lastByte(token),
    );
    assert.ok(alike.length > 10);
    for (const other of alike.slice(0, 10)) {
      assert.equal((await ask({ kind: "token", token }, `Bearer ${other}`)).status, 401);
    }
  });

  test("MT10 is told to nobody where it is closed, also with a token", async () => {
    for (const authorization of [undefined, `Bearer ${token}`]) {
      const answer = await ask({ kind: "closed" }, authorization);
      assert.equal(answer.status, 403);
      assert.match(await answer.text(), /BATON_METRICS_TOKEN/);
    }
  });

  test("MT10 is only asked for", async () => {
    const routes = createMetricsRoutes([source("a 1\n")], { kind: "open" });
    assert.equal((await routes.request("/metrics", { method: "POST" })).status, 404);
  });
});
