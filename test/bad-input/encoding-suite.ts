import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CodeReviewService, type SessionMessage } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { converse } from "./conversation.ts";
import type { Target, Tried } from "./target.ts";
import { bodyOf, call, isBySocket, methods, reasonOf } from "./ways.ts";

export function testEncoding({ start, ways, mendsSocketText = false }: Tried): void {
  let relay: Target;
  before(async () => {
    relay = await start();
  });
  after(() => relay.stop());

  const utf8 = new TextEncoder();
  const repeat = (bytes: readonly number[], times: number) => Array.from({ length: times }, () => bytes).flat();
  /** A field of number 1,007, which nobody knows, that opens a group, and the one that closes it. */
  const [groupBegin, groupEnd] = [
    [0xfb, 0x3e],
    [0xfc, 0x3e],
  ] as const;

  const wrongBinary: Record<string, readonly number[]> = {
    "a varint of eleven bytes": [0x10, ...repeat([0xff], 10), 1],
    "a length of eleven bytes": [0x0a, ...repeat([0x80], 10), 1],
    "a length beyond the message": [0x0a, 5, 0x61],
    "a length of 4 GiB": [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
    "field number 0": [0x02, 0],
    "a field number beyond 2^29": [0xf8, 0xff, 0xff, 0xff, 0x7f, 1],
    "wire type 6": [0x0e],
    "wire type 7": [0x0f],
    "the fixed32 of a string, cut": [0x0d, 0, 0],
    "invalid UTF-8": [0x0a, 2, 0xff, 0xfe],
    "half of a surrogate pair in UTF-8": [0x0a, 3, 0xed, 0xa0, 0x80],
    "a group that never ends": [...groupBegin],
    "the end of a group that never began": [...groupEnd],
    "groups 101 deep": [...repeat(groupBegin, 101), ...repeat(groupEnd, 101)],
    "a tag cut in half": [0x80],
  };

  const nested = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);

  const wrongJson: Record<string, string> = {
    nothing: "",
    "no JSON": '{"sessionId": SWORDFISH}',
    null: "null",
    "an array": '["SWORDFISH"]',
    "a text": '"SWORDFISH"',
    "a number": "1",
    "JSON and more": '{"sessionId": "a"} {"sessionId": "b"}',
    "a key twice": '{"sessionId": "SWORDFISH", "sessionId": "b"}',
    "a key under both of its names": '{"sessionId": "SWORDFISH", "session_id": "b"}',
    "a key twice, once escaped": '{"sessionId": "SWORDFISH", "session\\u0049d": "b"}',
    NaN: '{"sessionId": NaN}',
    Infinity: '{"sessionId": -Infinity}',
    "a text of another type": '{"sessionId": 7}',
    "half of a surrogate pair": '{"sessionId": "\\ud800"}',
    "brackets 101 deep": `{"later": ${nested("[", "]", 100)}}`,
    "braces 101 deep": nested('{"later":', "}", 100).replace("}", "{}}"),
    "brackets 100,000 deep": `{"later": ${nested("[", "]", 100_000)}}`,
    "an integer beyond 2^53 as a number": '{"later": 9007199254740993}',
    "the same behind a small one": '{"later": [1, 2], "more": {"later": 9007199254740993}}',
    "the same, negative": '{"later": -9007199254740993}',
    "the same, with a point": '{"later": 9007199254740993.0}',
  };

  for (const way of ways) {
    describe(`what cannot be read: ${way.name}`, () => {
      const wrong: [string, Uint8Array][] =
        way.form === "binary"
          ? Object.entries(wrongBinary).map(([title, bytes]) => [title, Uint8Array.from(bytes)])
          : [
              ...Object.entries(wrongJson).map(([title, json]): [string, Uint8Array] => [title, utf8.encode(json)]),
              [
                "invalid UTF-8",
                Buffer.concat([utf8.encode('{"sessionId": "'), Uint8Array.of(0xff), utf8.encode('"}')]),
              ],
            ];
      for (const method of methods) {
        test(`WR5 WR6 WR21 ${method}: MALFORMED, and nothing of it is told`, async () => {
          const token = await relay.token();
          for (const [title, data] of wrong) {
            // An empty text is a client's last word.
            if (data.length === 0 && isBySocket(way, method)) continue;
            if (title === "invalid UTF-8" && mendsSocketText && isBySocket(way, method) && way.form === "json")
              continue;
            const answer = await call(relay, way, {
              method,
              token,
              deadlineMs: 5_000,
              body: bodyOf(way, method, data),
            });
            assert.deepEqual([title, reasonOf(answer)], [title, "MALFORMED"]);
            assert.equal(answer.text.includes("SWORDFISH"), false, title);
          }
        });
      }
    });
  }

  for (const way of ways.filter(({ form }) => form === "json")) {
    const token = () => relay.token({ sub: way.name });
    const say = async (...json: readonly string[]) =>
      converse(relay, way, { session: "demo", token: await token(), say: json.map((one) => utf8.encode(one)) });

    describe(`JSON that is none of protobuf's: ${way.name}`, () => {
      test("BI1 an int64 is exact as a text, and as a number up to 2^53; beyond, it is MALFORMED", async () => {
        const echoOf = (said: readonly SessionMessage[]) =>
          said.flatMap(({ payload }) =>
            payload.case === "heartbeat" && payload.value.echo !== 0n ? [payload.value.echo] : [],
          );
        const exact: [json: string, value: bigint][] = [
          ['"9007199254740993"', 9_007_199_254_740_993n],
          ["9007199254740991", 9_007_199_254_740_991n],
          ["9.007199254740991e15", 9_007_199_254_740_991n],
          ["1e3", 1_000n],
          ['"-9223372036854775808"', -(2n ** 63n)],
        ];
        for (const [json, value] of exact) {
          assert.deepEqual(echoOf((await say(`{"heartbeat":{"sentAt":${json}}}`)).said), [value], json);
        }
        for (const json of [
          "9007199254740993",
          "1e400",
          "-1e400",
          "9.007199254740993e15",
          "1.5",
          '"1.5"',
          '"9223372036854775808"',
          '"NaN"',
          '""',
          "true",
        ]) {
          assert.equal(reasonOf(await say(`{"heartbeat":{"sentAt":${json}}}`)), "MALFORMED", json);
        }
        // In a text they are text.
        assert.equal(reasonOf(await say('{"presence":{"displayName":"9007199254740993 1e400 [[["}}')), "OK");
      });

      test("BI1 numbers out of the range of their field are MALFORMED", async () => {
        for (const json of ["-1", "4294967296", "1.5", '"-1"']) {
          const edit = `{"clientSeq":"1","edit":{"filePath":"a","changes":[{"from":${json},"to":0,"insert":""}]}}`;
          assert.equal(reasonOf(await say(edit)), "MALFORMED", json);
        }
      });

      test("BI2 names that mean something to JavaScript are unknown fields like any other", async () => {
        for (const json of [
          '{"__proto__":{"sessionId":"other","polluted":1},"heartbeat":{"sentAt":"5"}}',
          '{"constructor":{"prototype":{"polluted":1}},"heartbeat":{"sentAt":"5","__proto__":{"sentAt":"6"}}}',
          '{"toString":1,"hasOwnProperty":0,"valueOf":null,"heartbeat":{"sentAt":"5"}}',
          '{"__proto__":null,"heartbeat":{"sentAt":"5"}}',
        ]) {
          const { said, ...answer } = await say(json);
          assert.equal(reasonOf(answer), "OK", json);
          assert.ok(
            said.some(({ payload }) => payload.case === "heartbeat" && payload.value.echo === 5n),
            json,
          );
        }
        assert.equal(Object.hasOwn(Object.prototype, "polluted"), false);
        assert.equal(Reflect.get({}, "polluted"), undefined);
      });

      test("WR6 a hundred brackets, and any number of them in a text, are fine", async () => {
        const deepest = `{"later": ${nested("[", "]", 99)}, "heartbeat": {}}`;
        assert.equal(reasonOf(await say(deepest, `{"presence":{"displayName":"${"[{".repeat(300)}"}}`)), "OK");
      });
    });
  }

  test("every method is tried", () => {
    assert.deepEqual(Object.keys(CodeReviewService.method).sort(), [...methods].sort());
  });
}
