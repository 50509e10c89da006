import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fromJsonString } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { type ChatOptions, openChat } from "../examples/connect-web/chat.ts";
import { openSession } from "../examples/websocket/session.ts";
import {
  CodeReviewService,
  PublishResponseSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../src/gen/codereview/v1/codereview_pb.ts";
import { createLiveBench, freePort, type LiveRelay } from "./cli/live.ts";
import { createBench, repository } from "./cli/run-baton.ts";
import { callOnce, callStream, listServices, reflectedClient, withToken } from "./relay/grpc/grpc-js.ts";
import { describeWithRedis, startRedis } from "./support/redis-server.ts";
import { splitFrames } from "./wire/raw.ts";

const live = createLiveBench();
const bench = createBench();
after(async () => {
  await bench.clean();
  await live.clean();
});

const example = (path: string) => join(repository, "examples", path);
const program = (name: string) => join(repository, "node_modules/.bin", name);
const has = (command: string) => spawnSync(command, ["--version"]).error === undefined;

async function tokenFor({ dataDir }: LiveRelay, sub: string): Promise<string> {
  const run = bench.baton(["token", "--sub", sub, "--session", "demo", "--data-dir", dataDir]);
  assert.deepEqual(await run.exit, { code: 0, signal: null });
  return run.stdout.trim();
}

function textOf(message: SessionMessage): string {
  assert.equal(message.payload.case, "custom");
  return new TextDecoder().decode(message.payload.value.data);
}

describe("examples/curl", { skip: !has("curl") && "no curl on this machine" }, () => {
  let env: { readonly RELAY_URL: string; readonly TOKEN: string };
  before(async () => {
    const relay = await live.relay();
    env = { RELAY_URL: relay.url, TOKEN: await tokenFor(relay, "alice") };
  });
  const sh = (script: string, ...args: readonly string[]) =>
    execFileSync("sh", [example(`curl/${script}`), ...args], { env: { ...process.env, ...env } });
  const publish = (text: string) => {
    const { replies } = fromJsonString(PublishResponseSchema, sh("publish.sh", "demo", text).toString());
    const [payload] = replies.map((reply) => reply.payload);
    assert.equal(payload?.case, "ack");
    return payload.value.seq;
  };

  test("EX1 an envelope says how many bytes its text has", () => {
    const text = "ä".repeat(40_000);
    const [frame, ...rest] = splitFrames(sh("envelope.sh", text));
    assert.equal(frame?.flags, 0);
    assert.equal(new TextDecoder().decode(frame.data), text);
    assert.deepEqual(rest, []);
  });

  test("EX1 says something, reads the log, and watches what comes", async () => {
    assert.deepEqual([publish("one"), publish('"zwei" 💬')], [1n, 2n]);

    const frames = splitFrames(sh("read-log.sh", "demo", "2"));
    const decoder = new TextDecoder();
    assert.deepEqual(
      frames.map(({ flags }) => flags),
      [0, 2],
    );
    const [record] = frames.map(({ data }) => fromJsonString(SessionMessageSchema, decoder.decode(data)));
    assert.ok(record);
    assert.equal(textOf(record), '"zwei" 💬');
    assert.equal(record.userId, "alice");

    const watching = bench.run("sh", [example("curl/subscribe.sh"), "demo"], { env, ownGroup: true });
    await watching.printed(/"seq":"1".*"seq":"2"/s);
    assert.equal(publish("three"), 3n);
    await watching.printed(/"seq":"3"/);
    process.kill(-(watching.child.pid ?? 0), "SIGTERM");
    await watching.exit;
  });
});

/** A relay with native gRPC, and what the examples need of it. */
async function grpcRelay() {
  const port = String(await freePort());
  const relay = await live.relay({ BATON_GRPC_PORT: port });
  const address = `127.0.0.1:${port}`;
  const env = { RELAY_GRPC: address, TOKEN: await tokenFor(relay, "alice") };
  return { address, env };
}

describe("examples/grpcurl", () => {
  const isHere = has("grpcurl");

  test("EX2 lists, describes, probes and calls (where grpcurl is in PATH)", { skip: !isHere }, async () => {
    const { env } = await grpcRelay();
    const run = bench.run("sh", [example("grpcurl/session.sh"), "demo", "hello"], { env });
    assert.deepEqual(await run.exit, { code: 0, signal: null }, run.stderr);
    for (const pattern of [
      /^grpc\.health\.v1\.Health$/m,
      /rpc Subscribe \( \.codereview\.v1\.SubscribeRequest \) returns \( stream \.codereview\.v1\.SessionMessage \);/,
      /"status": "SERVING"/,
      /"ack": \{\s*"clientSeq": "1",\s*"seq": "1"/,
      /"userId": "alice",\s*"seq": "1"[\s\S]*"data": "aGVsbG8="/,
    ]) {
      assert.match(run.stdout, pattern);
    }
  });

  test("EX2 the same calls as grpcurl makes, by grpc-js, which knows no more than it does", async () => {
    const { address, env } = await grpcRelay();
    const services = await listServices(address, "v1");
    assert.ok(services.includes("codereview.v1.CodeReviewService"));
    const health = await reflectedClient(address, "grpc.health.v1.Health");
    assert.deepEqual(await callOnce(health, "Check", {}), { status: "SERVING" });
    health.close();

    const relay = await reflectedClient(address, "codereview.v1.CodeReviewService");
    const metadata = withToken(env.TOKEN);
    const messages = [{ client_seq: 1, custom: { type: "chat", data: Buffer.from("hello") } }];
    const published = await callOnce(relay, "Publish", { session_id: "demo", client_id: "one", messages }, metadata);
    assert.match(JSON.stringify(published), /"client_seq":"1","seq":"1"/);
    const records = await Array.fromAsync(callStream(relay, "ReadLog", { session_id: "demo" }, metadata));
    assert.equal(records.length, 1);
    assert.match(JSON.stringify(records), /"user_id":"alice".*"seq":"1"/);
    relay.close();
  });
});

describe("examples/grpc-js", () => {
  const run = (env: Readonly<Record<string, string>>) =>
    bench.run(program("node"), [example("grpc-js/session.ts"), "demo", "hello"], { env });

  test("EX4 joins over native gRPC, says one thing, and leaves when it is in the log", async () => {
    const { env } = await grpcRelay();
    for (const seq of ["1", "2"]) {
      const session = run(env);
      assert.deepEqual(await session.exit, { code: 0, signal: null }, session.stderr);
      const lines = session.stdout.trim().split("\n");
      assert.match(lines[0] ?? "", /^\{"welcome":\{"client":"[\w-]+","head":"\d"\}\}$/);
      assert.equal(lines.at(-1), `{"acked":{"clientSeq":"1","seq":"${seq}"}}`);
    }
  });

  test("EX4 says why it is not let in", async () => {
    const { env } = await grpcRelay();
    const session = run({ ...env, TOKEN: "nonsense" });
    assert.deepEqual(await session.exit, { code: 1, signal: null });
    assert.match(session.stderr, /^UNAUTHENTICATED: /);
  });
});

describe("examples/connect-web", () => {
  /** A chat, and what it heard. */
  function open(options: Pick<ChatOptions, "url" | "token">) {
    const heard: string[] = [];
    let look = () => {};
    const chat = openChat({
      ...options,
      session: "demo",
      heard(user, text) {
        heard.push(`${user}: ${text}`);
        look();
      },
    });
    const over = chat.over.then(
      () => undefined,
      (error: unknown) => error,
    );
    return {
      chat,
      heard,
      over,
      hears: (count: number) =>
        new Promise<void>((resolve) => {
          look = () => {
            if (heard.length >= count) resolve();
          };
          look();
        }),
    };
  }

  test("EX3 two who chat hear each other once, also over a relay that is killed and started again", async () => {
    const relay = await live.relay();
    const tokens = new Map([
      ["alice", await tokenFor(relay, "alice")],
      ["bob", await tokenFor(relay, "bob")],
    ]);
    const join = (user: string) => open({ url: relay.url, token: async () => tokens.get(user) ?? "" });
    const alice = join("alice");
    await alice.chat.say("one");
    const bob = join("bob");
    await bob.hears(1);
    await relay.kill();
    const said = bob.chat.say("two");
    await relay.restart();
    await said;
    await bob.chat.say("three");
    await Promise.all([alice.chat.say("four"), alice.chat.say("five")]);
    await Promise.all([alice.hears(2), bob.hears(3)]);
    assert.deepEqual(alice.heard, ["bob: two", "bob: three"]);
    assert.deepEqual(bob.heard, ["alice: one", "alice: four", "alice: five"]);
    for (const { chat, over } of [alice, bob]) {
      chat.close();
      assert.ok((await over) instanceof Error);
    }
  });

  test("EX3 a chat with a token that the relay refuses is over", async () => {
    const { url } = await live.relay();
    let asked = 0;
    const { chat, over } = open({
      url,
      token: async () => {
        asked += 1;
        if (asked > 2) throw new Error("no more tokens");
        return "nonsense";
      },
    });
    const said = chat.say("one");
    assert.match(String(await over), /no more tokens/);
    await assert.rejects(said, /no more tokens/);
  });
});

describe("examples/websocket", () => {
  test("EX8 two who talk hear each other once, also over a relay that is killed and started again", async () => {
    const relay = await live.relay();
    const heard = { ann: [] as string[], ben: [] as string[] };
    let look = () => {};
    const join = async (user: "ann" | "ben") => {
      const token = await tokenFor(relay, user);
      return openSession({
        url: relay.url,
        session: "demo",
        token: async () => token,
        heard(from, text) {
          heard[user].push(`${from}: ${text}`);
          look();
        },
      });
    };
    const [ann, ben] = [await join("ann"), await join("ben")];
    await ann.say("one");
    await ben.say("zwei \u{1f4ac}");
    await relay.kill();
    const said = ben.say("three");
    await relay.restart();
    await said;
    await Promise.all([ann.say("four"), ann.say("five")]);
    await new Promise<void>((resolve) => {
      look = () => {
        if (heard.ann.length >= 2 && heard.ben.length >= 3) resolve();
      };
      look();
    });
    for (const one of [ann, ben]) {
      one.close();
      await one.over;
    }
    assert.deepEqual(heard, {
      ann: ["ben: zwei \u{1f4ac}", "ben: three"],
      ben: ["ann: one", "ann: four", "ann: five"],
    });
  });

  test("EX8 where to come back is no use, it is over", async () => {
    const relay = await live.relay();
    const token = await tokenFor(relay, "alice");
    const { over } = openSession({ url: relay.url, session: "other", token: async () => token, heard: assert.fail });
    await assert.rejects(over, /SESSION_FORBIDDEN/);
    // A token that is refused is asked for again, as long as there is one.
    let asked = 0;
    const without = openSession({
      url: relay.url,
      session: "demo",
      async token() {
        asked += 1;
        if (asked > 1) throw new Error("no more tokens");
        return "a.b.c";
      },
      heard: assert.fail,
    });
    await assert.rejects(without.over, /no more tokens/);
  });
});

describe("examples/token-backend", () => {
  test("EX5 a client outlives its tokens on one stream, and the relay takes the backend's", async () => {
    const port = await freePort();
    const backendUrl = `http://127.0.0.1:${port}`;
    const backend = bench.run(program("bun"), [example("token-backend/server.ts")], {
      env: { PORT: String(port), TOKEN_SECONDS: "3" },
    });
    await backend.printed(/Started/);
    const jwks = await (await fetch(`${backendUrl}/.well-known/jwks.json`)).text();
    const relay = await live.relay({
      BATON_JWT_PUBLIC_KEY: jwks,
      BATON_JWT_ISSUER: "https://login.example",
      BATON_JWT_AUDIENCE: "baton",
    });
    const client = bench.run(program("bun"), [example("token-backend/client.ts"), "alice"], {
      env: { BACKEND_URL: backendUrl, RELAY_URL: relay.url },
    });
    await client.printed(/"accepted".*"accepted"/s);

    const login = await fetch(`${backendUrl}/login`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"user":"bob"}',
    });
    const { token } = await login.json();
    const bob = createClient(CodeReviewService, createConnectTransport({ baseUrl: relay.url }));
    const value = { type: "chat", data: new TextEncoder().encode("hello") };
    await bob.publish(
      { sessionId: "demo", clientId: "bob", messages: [{ clientSeq: 1n, payload: { case: "custom", value } }] },
      { headers: { authorization: `Bearer ${token}` } },
    );
    await client.printed(/"user":"bob","text":"hello"/);
    assert.equal(client.stdout.match(/"welcome"/g)?.length, 1);
  });

  test("EX5 a refresh token is good for one time, and nobody is let in without", async () => {
    const port = await freePort();
    const backend = bench.run(program("bun"), [example("token-backend/server.ts")], { env: { PORT: String(port) } });
    await backend.printed(/Started/);
    const ask = async (path: string, body: unknown) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body: JSON.stringify(body) });
      return { status: response.status, ...(await response.json()) };
    };
    const { refreshToken } = await ask("/login", { user: "alice" });
    assert.equal((await ask("/refresh", { refreshToken })).status, 200);
    assert.equal((await ask("/refresh", { refreshToken })).status, 401);
    assert.equal((await ask("/refresh", {})).status, 401);
    assert.equal((await ask("/login", { user: "" })).status, 400);
  });
});

describeWithRedis("examples/instances", () => {
  test("EX9 what is said to the one relay is in the other's log", async () => {
    const redis = await startRedis();
    try {
      const ports = { FIRST_PORT: String(await freePort()), SECOND_PORT: String(await freePort()) };
      const run = bench.run("sh", [example("instances/two-instances.sh"), "demo", "hello"], {
        env: { REDIS_URL: redis.url, BATON_DATA_DIR: bench.folder(), ...ports },
        ownGroup: true,
      });
      assert.deepEqual(await run.exit, { code: 0, signal: null }, run.stderr);
      const record = fromJsonString(SessionMessageSchema, run.stdout);
      assert.equal(textOf(record), "hello");
      assert.equal(record.userId, "alice");
      assert.equal(run.logs.filter(({ message }) => message === "stopped").length, 2);
    } finally {
      await redis.dispose();
    }
  });
});
