import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { tokenTimes } from "../../src/session/token-clock.ts";

const startMs = 1_800_000_000_000;
const skewMs = 30_000;
const second = 1000;
const minute = 60_000;

/** How long before `exp` the notice comes, for a token taken when it was issued. */
const noticeOf = (lifetimeMs: number) => {
  const expiresAtMs = startMs + lifetimeMs;
  return expiresAtMs - tokenTimes({ issuedAtMs: startMs, expiresAtMs }, startMs, skewMs).expiringAtMs;
};

describe("the clock of a token", () => {
  test("TK20 the notice comes when 20 % of the lifetime is left, at least 30 s and at most 5 min before exp", () => {
    const cases = [
      [10 * minute, 2 * minute],
      [15 * minute, 3 * minute],
      [150 * second, 30 * second],
      [149 * second, 30 * second],
      [31 * second, 30 * second],
      [25 * minute, 5 * minute],
      [26 * minute, 5 * minute],
      [24 * 60 * minute, 5 * minute],
    ] as const;
    for (const [lifetimeMs, noticeMs] of cases) assert.equal(noticeOf(lifetimeMs), noticeMs, `${lifetimeMs}`);
  });

  test("TK20 a lifetime of 30 s or less has its notice at 20 % too, not at once", () => {
    for (const [lifetimeMs, noticeMs] of [
      [30_000, 6000],
      [10_000, 2000],
      [5, 1],
      [1, 0],
    ] as const) {
      assert.equal(noticeOf(lifetimeMs), noticeMs);
    }
  });

  test("TK20 the stream ends at exp + skew, whenever the token was taken", () => {
    for (const acceptedAtMs of [0, startMs, startMs + 5 * minute, startMs + 60 * minute]) {
      const times = tokenTimes({ issuedAtMs: startMs, expiresAtMs: startMs + minute }, acceptedAtMs, skewMs);
      assert.equal(times.endsAtMs, startMs + minute + skewMs);
    }
  });

  test("TK20 a token taken late has its notice at once", () => {
    const token = { issuedAtMs: startMs, expiresAtMs: startMs + 10 * minute };
    for (const lateMs of [8 * minute + 1, 9 * minute, 10 * minute + 20 * second]) {
      assert.equal(tokenTimes(token, startMs + lateMs, skewMs).expiringAtMs, startMs + lateMs);
    }
    assert.equal(tokenTimes(token, startMs + 7 * minute, skewMs).expiringAtMs, startMs + 8 * minute);
  });

  test("TK20 for any token: no notice before it was taken, none less than 20 % early unless bounded, all whole", () => {
    const any = fc.record({
      lifetimeMs: fc.integer({ min: 1, max: 30 * 24 * 60 * minute }),
      takenAfterMs: fc.integer({ min: -skewMs, max: 30 * 24 * 60 * minute }),
      skewMs: fc.nat(5 * minute),
    });
    fc.assert(
      fc.property(any, ({ lifetimeMs, takenAfterMs, skewMs }) => {
        const token = { issuedAtMs: startMs, expiresAtMs: startMs + lifetimeMs };
        const acceptedAtMs = startMs + takenAfterMs;
        const { expiringAtMs, endsAtMs } = tokenTimes(token, acceptedAtMs, skewMs);
        assert.ok(Number.isSafeInteger(expiringAtMs) && Number.isSafeInteger(endsAtMs));
        assert.ok(expiringAtMs >= acceptedAtMs);
        if (acceptedAtMs < endsAtMs) assert.ok(expiringAtMs <= endsAtMs);
        if (expiringAtMs > acceptedAtMs) {
          const noticeMs = token.expiresAtMs - expiringAtMs;
          assert.ok(noticeMs <= 5 * minute && noticeMs <= lifetimeMs);
          assert.ok(noticeMs >= Math.min(Math.floor(lifetimeMs / 5), 5 * minute));
        }
      }),
    );
  });
});
