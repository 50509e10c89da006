import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, test } from "node:test";
import type { LogRecord } from "@logtape/logtape";
import { createLineSink } from "../../src/cli/logging.ts";
import { formatRecord } from "../../src/runtime/log-line.ts";
import { redact } from "../../src/runtime/redact.ts";
import { BatonError } from "../../src/session/reasons.ts";

const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJQSU5FQVBQTEUifQ.UElORUFQUExFLVBJTkVBUFBMRQ";

const record = (properties: Record<string, unknown>, message: readonly unknown[] = ["hello"]): LogRecord => ({
  category: ["baton", "relay"],
  level: "info",
  message,
  rawMessage: "hello",
  timestamp: 1_700_000_000_000,
  properties,
});

const lineOf = (properties: Record<string, unknown>, message?: readonly unknown[]): Record<string, unknown> =>
  JSON.parse(formatRecord(record(properties, message)));

describe("log lines", () => {
  test("CL12 are JSON, with fields as given", () => {
    assert.deepEqual(lineOf({ streamId: "s1", count: 3, big: 4n, flag: true, list: ["a", 1], none: undefined }), {
      "@timestamp": "2023-11-14T22:13:20.000Z",
      level: "INFO",
      message: "hello",
      logger: "baton.relay",
      streamId: "s1",
      count: 3,
      big: "4",
      flag: true,
      list: ["a", 1],
    });
  });

  test("CL12 are one line each, and nothing in them steers a terminal", () => {
    const nasty = 'a\n{"level":"FATAL"}\r\u001b[2J\u0007\u009b31m\u2028\u202eb\u007f';
    const text = formatRecord(record({ [nasty]: nasty }, [nasty, nasty, nasty]));
    assert.match(text, /^[\x20-\x7e]+\n$/);
    assert.equal(lineOf({ name: nasty }).name, nasty);
  });

  test("CL12 a field cannot pass for what each line has", () => {
    const line = lineOf({ level: "FATAL", message: "x", logger: "y", "@timestamp": "z" });
    assert.equal(line.level, "INFO");
    assert.equal(line.message, "hello");
    assert.equal(line["field.level"], "FATAL");
  });

  test("CL13 a value is cut at 256 bytes, no character halved", () => {
    assert.equal(lineOf({ text: "x".repeat(300) }).text, "x".repeat(256));
    assert.equal(lineOf({ text: "x".repeat(256) }).text, "x".repeat(256));
    assert.equal(lineOf({ text: `${"x".repeat(255)}é` }).text, "x".repeat(255));
    assert.equal(lineOf({ text: "\u{1f600}".repeat(100) }).text, "\u{1f600}".repeat(64));
    const deep = { a: { b: { c: { d: { e: 1 } } } } };
    assert.doesNotMatch(formatRecord(record({ deep })), /"e"/);
    assert.ok(formatRecord(record({ list: Array.from({ length: 10_000 }, () => 1) })).length < 1000);
    assert.equal(lineOf({ bytes: new Uint8Array(7) }).bytes, "7 bytes");
  });

  test("CL14 whatever looks like a token is replaced, wherever it stands", () => {
    const texts = [
      token,
      `x${"y".repeat(20)} ${token} z`,
      `${"é".repeat(120)}${token}`,
      `Authorization: Bearer ${token}`,
      "authorization: bearer opaque-PINEAPPLE",
      `bearer.${token}`,
      `/path?token=${token}`,
      token.split(".").slice(0, 2).join("."),
      `"${token}"`,
      `${"é".repeat(100)}${"PINEAPPLE-0123456789.".repeat(3)}`,
    ];
    for (const text of texts) {
      const line = formatRecord(record({ a: text, b: { c: [text] }, [text]: 1 }, [text, text, ""]));
      assert.doesNotMatch(line, /PINEAPPLE|eyJ|UElORU|UEl/, text);
    }
    for (const name of ["token", "resumeToken", "Authorization", "secret", "jwtSecret", "cookie"]) {
      assert.equal(lineOf({ [name]: "PINEAPPLE" })[name], "[removed]");
    }
  });

  test("CL14 what only resembles one stays", () => {
    for (const text of ["www.example.com", "1.22.333", "a.b.c", "src/cli/redact.test.ts", "bearer"]) {
      assert.equal(redact(text), text);
    }
    assert.equal(lineOf({ tokenId: "t-1" }).tokenId, "t-1");
  });

  test("CL14 a long text costs time in proportion", () => {
    const runs = ["a".repeat(200_000), "a".repeat(20).concat(".").repeat(10_000), "eyJ".repeat(60_000)];
    for (const text of runs) assert.ok(redact(text).length <= 16 * 1024);
  });

  test("CL15 an error is its kind and place; only our own errors have words, and none a stack", () => {
    const foreign = new TypeError("quotes PINEAPPLE");
    const line = formatRecord(record({ error: foreign, own: new BatonError("DRAIN") }));
    assert.doesNotMatch(line, /PINEAPPLE/);
    assert.match(line, /TypeError/);
    assert.match(line, /logging\.test\.ts/);
    assert.match(line, /"reason":"DRAIN"/);
    assert.equal(line.match(/\.ts:/g)?.length, 1);
  });

  test("CL16 lines wait for a slow reader within a bound; what is dropped is counted", async () => {
    const taken: string[] = [];
    let release = () => {};
    const slow = new Writable({
      write(chunk, _encoding, done) {
        taken.push(String(chunk));
        release = done;
      },
    });
    const sink = createLineSink(slow);
    const one = formatRecord(record({ text: "x".repeat(256) })).length;
    const sent = Math.ceil((3 * 1024 * 1024) / one);
    for (let index = 0; index < sent; index += 1) sink(record({ text: "x".repeat(256) }));
    assert.ok(slow.writableLength > 1024 * 1024 && slow.writableLength < 1024 * 1024 + 2 * one);
    const kept = Math.round(slow.writableLength / one);
    for (let index = 0; index < kept; index += 1) {
      release();
      await Promise.resolve();
    }
    sink(record({}));
    release();
    const last: Record<string, unknown> = JSON.parse(taken.at(-1) ?? "");
    assert.equal(last.dropped, sent - kept);
  });
});
