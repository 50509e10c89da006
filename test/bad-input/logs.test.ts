import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createBench, type Run } from "../cli/run-baton.ts";
import { edit, type Payload } from "../relay/harness.ts";
import { answersOf, carriages, converse, type Said, welcomeOf } from "./conversation.ts";
import { type Answer, bodyOf, call, encode, methods, reasonOf, ways } from "./ways.ts";

const canary = "kingfisher";
const secretText = `${canary}-jwt-${"s".repeat(32)}`;
const resumeSecret = `${canary}-resume-${"r".repeat(32)}`;
const secret = new TextEncoder().encode(secretText);

const bench = createBench();
let relay: Run;
let url = "";
before(async () => {
  relay = bench.baton(["start", "--port", "0", "--data-dir", bench.folder()], {
    env: { BATON_JWT_SECRET: secretText, BATON_RESUME_SECRET: resumeSecret, BATON_LOG_LEVEL: "debug" },
  });
  const [line] = await relay.printed(/http:\/\/127\.0\.0\.1:\d+/);
  url = line;
  await relay.logged("listening");
});
after(() => bench.clean());

interface Claims {
  readonly sub?: string;
  readonly sessions?: readonly string[];
  readonly scope?: string;
  readonly ttlSeconds?: number;
  readonly nowMs?: number;
}
const everything = "session:edit session:comment session:custom";
const tokenFor = ({
  sub = "alice",
  sessions = ["*"],
  scope = everything,
  ttlSeconds = 600,
  nowMs = Date.now(),
}: Claims = {}) => signDevelopmentToken(secret, { sub, sessions, scope, ttlSeconds }, nowMs);

const [firstWay] = ways;
if (firstWay === undefined) throw new Error("there is no way in");

/** All that the relay has written by now, and everything that it was asked before. */
const settledLog = async (): Promise<string> => {
  const name = `marker-${crypto.randomUUID()}`;
  await converse(url, firstWay, { session: name, token: await tokenFor(), say: [] });
  while (!relay.logs.some(({ message, session }) => message === "stream left" && session === name)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return relay.stderr;
};

/** Every text anywhere in a log line. */
function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [name, ...textsIn(inner)]);
}

describe("what a client says of itself, in the log", () => {
  const nasty: Record<string, string> = {
    "a line of its own": 'x\r\n{"level":"FATAL","message":"forged"}',
    ANSI: "\u001b[2J\u001b]0;owned\u0007\u009b31m",
    quotes: '","level":"FATAL","x":"',
    "marks that turn the text": "\u202egnp.exe\u2066\u200f",
    "other lines": "a\u2028b\u2029c\u0085d\u000be",
    NUL: "a\0b",
    "200 KB": "long-".repeat(40_000),
    "a character that the cut would halve": `${"x".repeat(255)}\u{1f600}`,
    "what looks like a token": `eyJ${"A".repeat(40)}.eyJ${"B".repeat(40)}.${"C".repeat(43)}`,
  };

  for (const way of ways) {
    test(`CL12 CL13 CL14 one line for each, escaped and cut: ${way.name}`, async () => {
      const from = relay.stderr.length;
      const session = `logged/${ways.indexOf(way)}`;
      for (const name of Object.values(nasty)) {
        const { input } = CodeReviewService.method.collaborativeSession;
        const token = await tokenFor({ sub: 'alice "\u202e" {}' });
        const join = encode(way, input, { sessionId: session, payload: { case: "join", value: { clientName: name } } });
        const presence: Payload = { case: "presence", value: { displayName: name } };
        const rotation: Payload = { case: "tokenRotation", value: { token: name } };
        const says = [presence, rotation].map((payload) => encode(way, input, { payload }));
        const headers = { "user-agent": 'x","level":"FATAL' };
        const body = bodyOf(way, "collaborativeSession", join, ...says);
        const answer = await call(url, way, { method: "collaborativeSession", token, headers, body });
        assert.equal(reasonOf(answer), "OK");
        const odd = await call(url, way, {
          method: "readLog",
          token,
          body: bodyOf(way, "readLog", encode(way, CodeReviewService.method.readLog.input, { sessionId: name })),
        });
        assert.equal(reasonOf(odd), "SESSION_ID_INVALID");
      }
      const written = (await settledLog()).slice(from);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for.
      assert.doesNotMatch(written, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
      const lines = written
        .trimEnd()
        .split("\n")
        .map((line): Record<string, unknown> => JSON.parse(line));
      const joined = lines.filter(({ message, session: where }) => message === "stream joined" && where === session);
      assert.equal(joined.length, Object.keys(nasty).length);
      assert.ok(joined.some(({ clientName }) => clientName === nasty["a line of its own"]));
      assert.ok(joined.some(({ clientName }) => clientName === "x".repeat(255)));
      for (const line of lines) {
        assert.notEqual(line.level, "FATAL");
        for (const text of textsIn(line)) assert.ok(Buffer.byteLength(text) <= 256, text);
      }
      assert.doesNotMatch(written, /eyJA/);
    });
  }

  test("CL12 header lines that no HTTP client would send", async () => {
    const from = relay.stderr.length;
    const { port } = new URL(url);
    for (const value of ["\u001b[2Jx", "a\rb", `"${"y".repeat(9_000)}`, "\u0000", "é\u009b"]) {
      const socket = net.connect(Number(port), "127.0.0.1");
      socket.on("error", () => undefined);
      socket.on("data", () => socket.destroy());
      const closed = new Promise((resolve) => socket.on("close", resolve));
      socket.write(
        `POST /codereview.v1.CodeReviewService/ReadLog HTTP/1.1\r\nhost: ${value}\r\nuser-agent: ${value}\r\ntraceparent: ${value}\r\ncontent-type: ${value}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
      );
      await closed;
    }
    const written = (await settledLog()).slice(from);
    for (const line of written.trimEnd().split("\n")) JSON.parse(line);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for.
    assert.doesNotMatch(written, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe("secrets", () => {
  /** What a text would look like in plain, and in base64 wherever it begins. */
  const spellings = [
    canary,
    canary.toUpperCase(),
    ...[0, 1, 2].map((pad) =>
      Buffer.from("-".repeat(pad) + canary)
        .toString("base64url")
        .slice(pad === 0 ? 0 : 4, -4),
    ),
  ];

  test("BI9 no output has a token, a secret or text of a document in it, whatever was refused", async () => {
    const outputs = new Map<string, string>();
    const reasonsSeen = new Set<string>();
    const note = (title: string, answer: Answer, faults: readonly string[] = []) => {
      reasonsSeen.add(reasonOf(answer));
      // What was said is told to those who may read it; what is looked through is what the relay says itself.
      if (answer.error !== undefined)
        outputs.set(title, `${answer.text}${JSON.stringify([...answer.headers])}${answer.error.message}`);
      if (faults.length > 0) outputs.set(`${title}: faults`, faults.join("\n"));
    };
    const secretType = `${canary}-${"x".repeat(200)}`;
    const big = `${canary} `.repeat(8_000);
    const say: readonly Said[] = [
      { clientSeq: 1n, payload: edit("a.ts", 0, 0, 0, `const ${canary} = 1;\n`) },
      {
        clientSeq: 2n,
        payload: { case: "comment", value: { commentId: "c", text: canary, filePath: "a.ts", lineNumber: 1 } },
      },
      { clientSeq: 3n, payload: { case: "custom", value: { type: "t", data: new TextEncoder().encode(canary) } } },
    ];
    const refused: readonly Said[] = [
      { clientSeq: 4n, payload: edit("a.ts", 9, 0, 0, canary) },
      { clientSeq: 4n, payload: edit("a.ts", 1, 99, 99, canary) },
      { clientSeq: 4n, payload: edit("a.ts", 0, 0, 0, canary) },
      { clientSeq: 4n, payload: edit(`${canary}\n`, 0, 0, 0, canary) },
      { clientSeq: 4n, payload: edit(`none/${canary}`, 3, 0, 0, canary) },
      { clientSeq: 4n, payload: edit("a.ts", 1, 0, 0, big) },
      { clientSeq: 1n, payload: edit("a.ts", 0, 0, 0, `other ${canary}`) },
      { clientSeq: 9n, payload: edit("a.ts", 1, 0, 0, canary) },
      { clientSeq: 4n, payload: { case: "custom", value: { type: secretType } } },
      {
        clientSeq: 4n,
        payload: { case: "comment", value: { commentId: canary, text: canary, filePath: "a.ts", lineNumber: 99 } },
      },
      {
        clientSeq: 4n,
        payload: { case: "comment", value: { commentId: canary, text: big, filePath: "a.ts", lineNumber: 1 } },
      },
      { clientSeq: 4n, payload: { case: "fault", value: { message: canary } } },
      { sessionId: canary, clientSeq: 4n, payload: { case: "custom", value: { type: canary } } },
      { payload: { case: "tokenRotation", value: { token: `${canary}.${canary}.${canary}` } } },
      { payload: { case: "tokenRotation", value: { token: canary } } },
      { clientSeq: 4n },
    ];
    for (const way of ways) {
      const session = `secrets/${ways.indexOf(way)}`;
      const token = await tokenFor();
      const welcome = welcomeOf(await converse(url, way, { session, token, clientId: "c", say }));
      for (const [carriage, speak] of Object.entries(carriages)) {
        for (const [index, one] of refused.entries()) {
          const heard = await speak(url, way, { session, token, clientId: "c", say: [one] });
          const faults = heard.said.flatMap(({ payload }) => {
            if (payload.case === "fault") return [payload.value.message];
            return payload.case === "tokenStatus" ? [payload.value.reason] : [];
          });
          note(`${way.name} ${carriage} ${index}`, heard, faults);
          for (const answer of answersOf(heard)) reasonsSeen.add(answer.split(" ")[2] ?? "");
        }
      }
      const wrongTokens = [
        canary,
        `${canary}.${canary}.${canary}`,
        `${token}${canary}`,
        `${token.slice(0, -4)}AAAA`,
        await tokenFor({ nowMs: Date.now() - 3_600_000 }),
        await tokenFor({ sessions: [`${canary}/*`] }),
        await tokenFor({ scope: canary }),
        welcome.resumeToken,
      ];
      for (const method of methods) {
        const { input } = CodeReviewService.method[method];
        const body = bodyOf(way, method, encode(way, input, { sessionId: session }));
        for (const [index, wrong] of wrongTokens.entries()) {
          note(`${way.name} ${method} token ${index}`, await call(url, way, { method, token: wrong, body }));
        }
        const malformed = [`{"${canary}": ${canary}`, `\u00ff\u00fe${canary}`, `{"sessionId": "${canary}`];
        for (const [index, text] of malformed.entries()) {
          const garbage = bodyOf(way, method, new TextEncoder().encode(text));
          note(
            `${way.name} ${method} garbage ${index}`,
            await call(url, way, { method, token, body: garbage, deadlineMs: 5_000 }),
          );
        }
        const headers = { "connect-timeout-ms": canary, "grpc-timeout": canary };
        note(`${way.name} ${method} timeout`, await call(url, way, { method, token, body, headers }));
        const encoded = { "content-encoding": canary, "connect-content-encoding": canary, "grpc-encoding": canary };
        note(`${way.name} ${method} encoding`, await call(url, way, { method, token, body, headers: encoded }));
        const large = bodyOf(way, method, new TextEncoder().encode(canary.repeat(30_000)));
        note(`${way.name} ${method} large`, await call(url, way, { method, token, body: large }));
      }
      for (const resumeToken of [canary, `${welcome.resumeToken}${canary}`, token]) {
        const answer = await converse(url, way, { session, token, join: { resumeToken }, say: [] });
        note(`${way.name} resume ${resumeToken.length}`, answer);
      }
    }
    for (const path of [
      "/healthz",
      "/readyz",
      "/metrics",
      `/${canary}`,
      `/codereview.v1.CodeReviewService/${canary}`,
      `/?token=${canary}`,
    ]) {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${canary}`, cookie: canary } });
      outputs.set(path, `${await response.text()}${JSON.stringify([...response.headers])}`);
    }
    outputs.set("stderr", await settledLog());
    outputs.set("stdout", relay.stdout);

    for (const expected of [
      "TOKEN_INVALID",
      "TOKEN_EXPIRED",
      "SESSION_FORBIDDEN",
      "MALFORMED",
      "MESSAGE_TOO_LARGE",
      "RESUME_TOKEN_INVALID",
      "EDIT_OUT_OF_RANGE",
      "VERSION_AHEAD",
      "CLIENT_SEQ_REUSED",
      "COMMENT_INVALID",
      "PATH_INVALID",
      "EDIT_TOO_LARGE",
      "CUSTOM_INVALID",
      "WRONG_SENDER",
      "PROTOCOL_UNSUPPORTED",
    ]) {
      assert.ok(reasonsSeen.has(expected), `${expected} was not provoked: ${[...reasonsSeen].join(" ")}`);
    }
    assert.equal(reasonsSeen.has("INTERNAL"), false);
    assert.ok(outputs.size > 300, `${outputs.size} outputs`);
    const found = [...outputs].filter(([, text]) => spellings.some((spelling) => text.includes(spelling)));
    assert.deepEqual(
      found.map(([title, text]) => `${title}: ${text.slice(0, 300)}`),
      [],
    );
  });
});
