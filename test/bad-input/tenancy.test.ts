import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { answersOf, converse, welcomeOf } from "./conversation.ts";
import { startRelay, type TestRelay } from "./relay.ts";
import { type Answer, bodyOf, call, encode, faultOf, type Method, methods, reasonOf, type Way, ways } from "./ways.ts";

const canary = "KINGFISHER-4711";
/** What the store was asked, in order. */
const asked: string[] = [];

function watched(log: SessionLog): SessionLog {
  return new Proxy(log, {
    get(target, name, receiver) {
      const member: unknown = Reflect.get(target, name, receiver);
      if (typeof member !== "function") return member;
      return (...args: readonly unknown[]): unknown => {
        asked.push(String(name));
        return Reflect.apply(member, target, args);
      };
    },
  });
}

let relay: TestRelay;
before(async () => {
  relay = await startRelay({
    log: watched(createMemoryLog(Date.now)),
    limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 },
  });
  const [way] = ways;
  assert.ok(way !== undefined);
  const say = [{ clientSeq: 1n, payload: { case: "custom", value: { type: canary } } }] as const;
  const owner = await relay.token({ sessions: ["tenant-a/*"] });
  const heard = await converse(relay, way, { session: "tenant-a/exists", token: owner, clientId: "owner", say });
  assert.deepEqual(answersOf(heard), ["ack 1"]);
});
after(() => relay.stop());

function probe(way: Way, method: Method, sessionId: string, token: string): Promise<Answer> {
  const { input } = CodeReviewService.method[method];
  const payload = { case: "join", value: {} };
  const init = method === "collaborativeSession" ? { sessionId, payload } : { sessionId, clientId: "owner" };
  const body = bodyOf(way, method, encode(way, input, init));
  return call(relay, way, { method, token, deadlineMs: 5_000, body });
}

/** All of an answer that its caller can look at, but for the time. */
function seenOf({ status, headers, text }: Answer) {
  const { date: _date, ...rest } = Object.fromEntries(headers);
  return { status, rest, text: text.replace(/"(?:timestamp|sentAt)":"\d+"/g, "").replace(/[^\x20-\x7e]/g, "") };
}

for (const way of ways) {
  describe(`another tenant's sessions: ${way.name}`, () => {
    for (const method of methods) {
      test(`TK14 BI6 ${method}: forbidden alike whether the session exists or not, and no store is asked`, async () => {
        const token = await relay.token({
          sub: "mallory",
          sessions: ["tenant-b/*", "tenant-a", "tenant-a/exist", "tenant-a/exists/x"],
        });
        const from = asked.length;
        const there = await probe(way, method, "tenant-a/exists", token);
        const absent = await probe(way, method, "tenant-a/absents", token);
        assert.deepEqual([reasonOf(there), reasonOf(absent)], ["SESSION_FORBIDDEN", "SESSION_FORBIDDEN"]);
        assert.equal(faultOf(there.error)?.message, faultOf(absent.error)?.message);
        if (way.form === "json" || method === "publish" || method.startsWith("get") || method.startsWith("read")) {
          assert.deepEqual(seenOf(there), seenOf(absent));
        }
        assert.equal(there.bytes, absent.bytes);
        assert.equal(there.text.includes(canary), false);
        assert.deepEqual(asked.slice(from), []);
      });
    }

    test("BI7 one that is allowed and absent: to read it is not_found, to join it is not, and its first record makes it", async () => {
      const session = `tenant-b/new-${ways.indexOf(way)}`;
      const token = await relay.token({ sessions: ["tenant-b/*"] });
      const reads = async () => [
        reasonOf(await probe(way, "readLog", session, token)),
        reasonOf(await probe(way, "getSnapshot", session, token)),
      ];
      assert.deepEqual(await reads(), ["SESSION_NOT_FOUND", "SESSION_NOT_FOUND"]);
      const looked = await converse(relay, way, { session, token, say: [] });
      assert.equal(welcomeOf(looked).headSeq, 0n);
      assert.deepEqual(await reads(), ["SESSION_NOT_FOUND", "SESSION_NOT_FOUND"]);
      const said = await converse(relay, way, {
        session,
        token,
        say: [{ clientSeq: 1n, payload: { case: "custom", value: {} } }],
      });
      assert.deepEqual(answersOf(said), ["ack 1"]);
      assert.deepEqual(await reads(), ["OK", "OK"]);
    });
  });
}

describe("tokens that name much or little", () => {
  test("TK13 TK14 a pattern is no more than it says", async () => {
    const [way] = ways;
    assert.ok(way !== undefined);
    const cases: [patterns: string[], session: string, enters: boolean][] = [
      [["tenant-a"], "tenant-a/exists", false],
      [["tenant-a/"], "tenant-a/exists", false],
      [["tenant-a/*"], "tenant-a", false],
      [["tenant-a/*"], "tenant-a-evil/x", false],
      [["tenant-a/exists"], "tenant-a/existsx", false],
      [["TENANT-A/*"], "tenant-a/exists", false],
      [["tenant-a/e*"], "tenant-a/exists", true],
      [["*"], "tenant-a/exists", true],
      [[], "tenant-a/exists", false],
    ];
    for (const [sessions, session, enters] of cases) {
      const answer = await probe(way, "readLog", session, await relay.token({ sub: "mallory", sessions }));
      assert.deepEqual([sessions, session, reasonOf(answer)], [sessions, session, enters ? "OK" : "SESSION_FORBIDDEN"]);
      assert.equal(answer.text.includes(canary), enters);
    }
  });
});
