import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createBench } from "../cli/run-baton.ts";
import { useUpstash } from "../durable/upstash-place.ts";
import { edit, Stream, transports } from "../relay/harness.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import type { RequestFault } from "../support/upstash-bridge.ts";

const canary = "kingfisher";
const jwtSecret = `${canary}-jwt-${"s".repeat(32)}`;

/** In plain, and in base64 wherever it begins. */
const spellings = [
  canary,
  canary.toUpperCase(),
  ...[0, 1, 2].map((pad) =>
    Buffer.from("-".repeat(pad) + canary)
      .toString("base64url")
      .slice(pad === 0 ? 0 : 4, -4),
  ),
];

const instead = (status: number, body: string): RequestFault => ({ kind: "instead", status, body });
const error = (status: number, text: string) => instead(status, JSON.stringify({ error: text }));

/** What a server, or what stands before it, may answer; each repeats what it should not. */
const refusals: Readonly<Record<string, RequestFault>> = {
  "too large": error(400, `ERR max request size exceeded. Limit: 1, Actual: 2 bytes ${canary}`),
  "record too large": error(400, `ERR max single record size exceeded ${canary}`),
  full: error(400, `ERR DB capacity quota exceeded ${canary}`),
  "no memory": error(400, `OOM command not allowed when used memory > 'maxmemory' ${canary}`),
  "used up": error(400, `ERR max requests limit exceeded ${canary}`),
  "too often": error(429, `Too Many Requests ${canary}`),
  rotated: error(401, `WRONGPASS invalid or missing auth token ${canary}`),
  "read-only": error(400, `NOPERM this user has no permissions to run '${canary}'`),
  "wrong type": error(400, `WRONGTYPE Operation against ${canary}`),
  "no JSON": instead(200, `<html>${canary}`),
  "of a proxy": instead(502, `<html>${canary}`),
  "another's answer": instead(200, `{"result":{"${canary}":1}}`),
  "answer lost": { kind: "answer lost" },
  "answer cut": { kind: "answer cut" },
};

describeWithRedis("secrets of a relay on a Redis over REST", () => {
  const bench = createBench();
  // Before the place looks whether anybody is left.
  afterEach(() => bench.clean());
  after(() => bench.clean());
  const place = useUpstash();
  const start = (variables: Readonly<Record<string, string>>) =>
    bench.baton(["start", "--port", "0", "--data-dir", bench.folder()], {
      env: { BATON_JWT_SECRET: jwtSecret, BATON_LOG: "upstash", BATON_LOG_LEVEL: "debug", ...variables },
    });
  const assertSilent = (outputs: ReadonlyMap<string, string>) => {
    const found = [...outputs].filter(([, text]) => spellings.some((spelling) => text.includes(spelling)));
    assert.deepEqual(
      found.map(([title, text]) => `${title}: ${text.slice(0, 600)}`),
      [],
    );
  };

  test("BC18 whatever the server refuses or returns, no output has the token, a command, an answer or text of a document", async () => {
    const { bridge } = place;
    bridge.token = `${canary}-upstash-token`;
    const outputs = new Map<string, string>();
    const seen = new Set<string>();
    const relay = start({ UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: bridge.token });
    await relay.logged("listening");
    const { url } = relay.logs.find(({ message }) => message === "listening") ?? {};
    const client = createClient(CodeReviewService, transports.connect(String(url)));
    for (const [title, fault] of Object.entries(refusals)) {
      const session = `s-${title.replaceAll(/\W/g, "-")}`;
      const token = await signDevelopmentToken(
        new TextEncoder().encode(jwtSecret),
        { sub: "alice", sessions: [session], scope: "session:edit session:custom", ttlSeconds: 600 },
        Date.now(),
      );
      const alice = new Stream(client, token);
      alice.send({ case: "join", value: { clientId: "a" } }, { sessionId: session });
      await alice.take("welcome");
      let left = 2;
      bridge.faultOf = ([name]) => (name === "EVALSHA" && left-- > 0 ? fault : undefined);
      alice.send(edit("a.ts", 0, 0, 0, `const ${canary} = 1;\n`), { clientSeq: 1n });
      // It is taken, refused, or the stream ends.
      const answered = await Promise.race([
        alice.take("ack").then(() => "ack"),
        alice.take("fault").then(({ reason, message }) => `${reason} ${message}`),
        alice.ended.then(
          ({ error: end, fault: told }) =>
            `${told?.reason} ${end?.message} ${JSON.stringify([...(end?.metadata ?? [])])}`,
        ),
      ]);
      seen.add(answered.split(" ")[0] ?? "");
      outputs.set(title, answered);
      bridge.faultOf = () => undefined;
      alice.cut();
    }
    for (const path of ["/metrics", "/healthz", "/readyz", `/?_token=${canary}`]) {
      const response = await fetch(String(url) + path);
      outputs.set(path, `${await response.text()}${JSON.stringify([...response.headers])}`);
    }
    relay.child.kill("SIGTERM");
    await relay.exit;
    outputs.set("stderr", relay.stderr).set("stdout", relay.stdout);
    assert.deepEqual([...seen].sort(), ["LOG_FULL", "ack"]);
    assert.ok(
      bridge.requests.some(({ command }) => command.some((text) => Buffer.from(text, "base64").includes(canary))),
    );
    assert.match(relay.stderr, /refuses the token/);
    assert.match(relay.stderr, /more often than its plan allows/);
    assertSilent(outputs);
  });

  test("BC18 nor has what a start says that fails", async () => {
    const { bridge } = place;
    const outputs = new Map<string, string>();
    const ways: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      "another token": { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: `${canary}-token` },
      "a token in the URL": {
        UPSTASH_REDIS_REST_URL: `${bridge.url}/?_token=${canary}`,
        UPSTASH_REDIS_REST_TOKEN: `${canary}-token`,
      },
      "a password in the URL": {
        UPSTASH_REDIS_REST_URL: `http://user:${canary}@127.0.0.1:9`,
        UPSTASH_REDIS_REST_TOKEN: `${canary}-token`,
      },
      "nobody there": {
        UPSTASH_REDIS_REST_URL: `http://127.0.0.1:9/${canary}`,
        UPSTASH_REDIS_REST_TOKEN: `${canary}-token`,
      },
      "a token that is none": { UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: `${canary} ${canary}` },
      "no token": { UPSTASH_REDIS_REST_URL: `${bridge.url}/${canary}` },
    };
    for (const [title, variables] of Object.entries(ways)) {
      const relay = start(variables);
      const { code } = await relay.exit;
      assert.ok(code !== 0 && code !== null, title);
      assert.ok(relay.stderr.length > 40, title);
      outputs.set(title, relay.stdout + relay.stderr);
    }
    assertSilent(outputs);
  });
});
