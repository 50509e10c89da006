import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Revocations } from "../../src/auth/revocations.ts";
import { matchesSession, narrowPatterns } from "../../src/auth/session-pattern.ts";
import { revokeUser } from "../../src/session/revocation.ts";
import { createRandom } from "../support/random.ts";

const token = (tokenId: string | undefined, userId = "alice", issuedAtMs = 0) => ({ tokenId, userId, issuedAtMs });

describe("what is revoked", () => {
  test("RV1 a token is by its id, whatever its user and its time", () => {
    const known = new Revocations();
    known.add({ kind: "token", tokenId: "t" });
    assert.equal(known.isRevoked(token("t")), true);
    assert.equal(known.isRevoked(token("t", "bob", 9e15)), true);
    for (const other of ["T", "t ", "", undefined, "alice"]) assert.equal(known.isRevoked(token(other)), false);
  });

  test("RV2 a user's tokens are up to the second of the revocation, to its last millisecond", () => {
    for (const nowMs of [5_000, 5_001, 5_999, 5_999.5]) {
      const known = new Revocations();
      known.add(revokeUser("alice", nowMs));
      const revoked = [0, 4_999, 5_000, 5_999, 6_000, 6_001].map((ms) => known.isRevoked(token("t", "alice", ms)));
      assert.deepEqual(revoked, [true, true, true, true, false, false], String(nowMs));
      assert.equal(known.isRevoked(token("alice", "bob", 0)), false);
    }
  });

  test("RV2 a later revocation of a user reaches further, and an earlier one told late takes nothing back", () => {
    const known = new Revocations();
    known.add(revokeUser("alice", 5_000));
    known.add(revokeUser("alice", 9_000));
    known.add(revokeUser("alice", 1_000));
    assert.deepEqual(
      [known.isRevoked(token("t", "alice", 9_999)), known.isRevoked(token("t", "alice", 10_000))],
      [true, false],
    );
    assert.equal(known.size, 1);
  });

  test("RV9 what is known is counted once", () => {
    const known = new Revocations();
    for (let n = 0; n < 3; n++) {
      known.add({ kind: "token", tokenId: "alice" });
      known.add(revokeUser("alice", n));
      known.add({ kind: "token", tokenId: "t" });
    }
    assert.equal(known.size, 3);
    assert.equal(known.has({ kind: "token", tokenId: "t" }), true);
    assert.equal(known.has(revokeUser("t", 0)), false);
    assert.equal(known.has(revokeUser("alice", 0)), true);
  });
});

describe("the patterns that a listing goes by", () => {
  test("AD4 they are narrowed to the prefix, disjoint, and in the order of what they stand for", () => {
    const cases: readonly (readonly [patterns: string[], prefix: string, narrowed: string[]])[] = [
      [["*"], "", ["*"]],
      [["*"], "team-", ["team-*"]],
      [["b", "a/*", "a", "a/x", "a/*"], "", ["a", "a/*", "b"]],
      [["a*", "a/b*", "*"], "", ["*"]],
      [["team-a/*", "team-b/*", "zoo"], "team-b/x", ["team-b/x*"]],
      [["team-a/*", "zoo", "z*"], "zo", ["zo*"]],
      [["a", "b*"], "c", []],
      [[], "", []],
    ];
    for (const [patterns, prefix, narrowed] of cases) assert.deepEqual(narrowPatterns(patterns, prefix), narrowed);
  });

  test("AD4 listing by them gives every id that is named, once, in order, whatever the patterns, seeds 1 to 300", () => {
    const alphabet = ["a", "b", "-", "/", "Z", "1"];
    let listed = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const random = createRandom(seed);
      const word = (most: number) =>
        `a${Array.from({ length: Math.floor(random() * most) }, () => alphabet[Math.floor(random() * alphabet.length)]).join("")}`;
      const ids = [...new Set(Array.from({ length: 40 }, () => word(4)))].sort();
      const patterns = Array.from({ length: 6 }, () => (random() < 0.5 ? word(4) : `${word(3)}*`));
      const prefix = random() < 0.5 ? "" : word(3);
      const found = narrowPatterns(patterns, prefix).flatMap((pattern) =>
        ids.filter((id) => matchesSession([pattern], id)),
      );
      const named = ids.filter((id) => id.startsWith(prefix) && matchesSession(patterns, id));
      assert.deepEqual(found, named, `seed ${seed}`);
      listed += named.length;
    }
    assert.ok(listed > 1_000, `${listed} were listed`);
  });
});
