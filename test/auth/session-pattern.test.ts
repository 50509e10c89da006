import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isSessionPattern, matchesSession } from "../../src/auth/session-pattern.ts";
import { sessionIdPattern } from "../../src/session/limits.ts";

const ids = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,20}$/).filter((id) => sessionIdPattern.test(id));

describe("session patterns", () => {
  test("TK13 examples", () => {
    const cases = [
      ["demo", "demo", true],
      ["demo", "demo2", false],
      ["demo", "dem", false],
      ["demo", "Demo", false],
      ["team-a/*", "team-a/x", true],
      ["team-a/*", "team-a/x/y", true],
      ["team-a/*", "team-a/", true],
      ["team-a/*", "team-a", false],
      ["team-a/*", "team-ab/x", false],
      ["team-a/*", "x/team-a/x", false],
      ["team-a*", "team-ab/x", true],
      ["*", "anything/at.all", true],
    ] as const;
    for (const [pattern, id, expected] of cases) {
      assert.ok(isSessionPattern(pattern));
      assert.equal(matchesSession([pattern], id), expected, `${pattern} ${id}`);
    }
    assert.equal(matchesSession([], "demo"), false);
    assert.equal(matchesSession(["a", "b/*"], "b/c"), true);
    assert.equal(matchesSession(["a", "b/*"], "c"), false);
  });

  test("TK13 an id without a star matches itself alone", () => {
    fc.assert(fc.property(ids, ids, (one, other) => assert.equal(matchesSession([one], other), one === other)));
  });

  test("TK13 with a final star it matches just the ids that begin so, the empty rest included", () => {
    fc.assert(
      fc.property(ids, fc.nat(21), ids, (id, length, other) => {
        const start = id.slice(0, length);
        assert.ok(isSessionPattern(`${start}*`));
        assert.ok(matchesSession([`${start}*`], id));
        assert.equal(matchesSession([`${start}*`], other), other.slice(0, start.length) === start);
      }),
    );
  });

  test("TK13 what is no pattern is what no session id could match", () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^[a.*/-]{0,6}$/));
    fc.assert(
      fc.property(texts, (text) => {
        const star = text.indexOf("*");
        const start = star === -1 ? text : text.slice(0, star);
        const legal = (star === -1 || star === text.length - 1) && (sessionIdPattern.test(start) || text === "*");
        assert.equal(isSessionPattern(text), legal, text);
      }),
      { numRuns: 1000 },
    );
  });

  test("TK13 the longest id is a pattern, with and without a star; one character more is not", () => {
    const id = "a".repeat(128);
    for (const [pattern, legal] of [
      [id, true],
      [`${id}*`, true],
      [`${id}a`, false],
      [`${id}a*`, false],
    ] as const) {
      assert.equal(isSessionPattern(pattern), legal);
    }
  });
});
