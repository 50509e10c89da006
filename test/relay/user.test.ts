// What is known of one user, and when it is forgotten.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Rate } from "../../src/relay/rate.ts";
import { Users } from "../../src/relay/users.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { withLimits } from "../session/support.ts";

const limits = withLimits({ userSessions: 1, roomIdleMs: 100, messagesPerSecond: 1, messagesBurst: 10 });
const laterMs = 1_000_000;

const reasonOf = (run: () => void) => {
  try {
    run();
    return "OK";
  } catch (error) {
    return error instanceof BatonError ? error.reason : String(error);
  }
};

describe("a rate under another", () => {
  test("LM7 takes of both or of neither", () => {
    const whole = new Rate(1, 2, 0);
    const [one, other] = [new Rate(1, 5, 0, whole), new Rate(1, 1, 0, whole)];
    assert.equal(other.take(0), 0);
    // Of its own it has none: the whole is not touched.
    assert.ok(other.take(0) > 0);
    assert.equal(one.take(0), 0);
    // Of its own it has four: they are not touched while the whole has none.
    for (let n = 0; n < 9; n++) assert.equal(one.take(0), 1000);
    assert.equal(one.take(1000), 0);
    assert.equal(one.isFull(1000), false);
  });

  test("LM7 a clock that was set back gives nothing, and nobody waits out the step", () => {
    const whole = new Rate(1, 1, 1_000_000);
    const rate = new Rate(1, 1, 1_000_000, whole);
    assert.equal(rate.take(1_000_000), 0);
    assert.equal(rate.take(0), 1000);
    assert.equal(rate.take(500), 500);
    assert.equal(rate.take(1000), 0);
  });
});

describe("a user", () => {
  test("LM8 is forgotten when nothing is left to know: no stream, no session, no rate that is used up", () => {
    const used: Record<string, (user: ReturnType<Users["of"]>) => void> = {
      "a stream that reads the log": (user) => user.began(),
      "a session": (user) => user.visit("demo", laterMs),
      "the rate of all that is sent": (user) => user.assertRate(laterMs),
    };
    for (const [title, use] of Object.entries(used)) {
      const users = new Users(limits);
      use(users.of("alice", 0));
      users.sweep(laterMs);
      assert.equal(users.size, 1, title);
    }
    const users = new Users(limits);
    const alice = users.of("alice", 0);
    // Of its own bucket it takes ten times as long to come by as of that of all.
    for (let n = 0; n < 10; n++) alice.assertRate(0, alice.unseenRate);
    users.sweep(9_000);
    assert.equal(users.size, 1);
    users.sweep(10_000);
    assert.equal(users.size, 0);
  });

  test("LM8 a session counts while a stream is in it, and then for as long as a room is kept", () => {
    const users = new Users(limits);
    const alice = users.of("alice", 0);
    alice.visit("one", 0);
    alice.began("one");
    users.sweep(laterMs);
    assert.equal(
      reasonOf(() => alice.visit("two", laterMs)),
      "USER_LIMIT",
    );
    alice.ended(laterMs, "one");
    users.sweep(laterMs + 99);
    assert.equal(
      reasonOf(() => alice.visit("two", laterMs + 99)),
      "USER_LIMIT",
    );
    users.sweep(laterMs + 100);
    assert.equal(
      reasonOf(() => alice.visit("two", laterMs + 100)),
      "OK",
    );
  });

  test("LM8 each call that names a session has it count on from there", () => {
    const users = new Users(limits);
    const alice = users.of("alice", 0);
    alice.visit("one", 0);
    alice.visit("one", 50);
    users.sweep(149);
    assert.equal(
      reasonOf(() => alice.visit("two", 149)),
      "USER_LIMIT",
    );
    users.sweep(150);
    assert.equal(
      reasonOf(() => alice.visit("two", 150)),
      "OK",
    );
  });
});
