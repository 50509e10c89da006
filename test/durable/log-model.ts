import assert from "node:assert/strict";
import fc from "fast-check";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { Claim, SessionLog } from "../../src/durable/session-log.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { codes, type FaultyDriver } from "./faulty-driver.ts";
import { bytes, plain } from "./log-contract.ts";

const sessions = ["a", "b", "c"] as const;
const clients = ["x", "y"] as const;
const everything = Number.MAX_SAFE_INTEGER;

const session = fc.constantFrom(...sessions);
const client = fc.constantFrom(...clients);
const operation = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      session,
      client,
      count: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("claim" as const), session, client }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("snapshot" as const), session }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("trim" as const), session, back: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), session }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("renew" as const), session }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("revoke" as const), session, name: client }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** Operations that are asked for at once, and the statement among theirs that fails, if any. */
const step = fc.record({
  together: fc.array(operation, { minLength: 1, maxLength: 4 }),
  fault: fc.option(
    fc.record({ after: fc.nat(12), code: fc.constantFrom(codes.full, codes.constraint, codes.ioWrite, codes.ioFsync) }),
    { freq: 2 },
  ),
  reopen: fc.integer({ min: 1, max: 8 }).map((n) => n === 1),
});

/** A log with the claims that its clients hold. */
interface Side {
  log: SessionLog;
  readonly claims: Map<string, Claim>;
  /** The claims as they were before the present step: what its operations know of, since they are asked for at once. */
  held: ReadonlyMap<string, Claim>;
}

let mark = 0;

/** One operation, so that both logs can be asked for the very same. It resolves with what is to be compared. */
function plan(operation: Operation, heads: Map<string, number>, epochs: Map<string, string>) {
  const id = operation.session;
  const head = heads.get(id) ?? 0;
  const epoch = epochs.get(id) ?? "";
  const own = ++mark;
  switch (operation.do) {
    case "append": {
      const key = `${id} ${operation.client}`;
      const records = Array.from({ length: operation.count }, (_, i) => ({
        seq: head + 1 + i,
        frame: bytes(`${own}.${i} ${"x".repeat((own * 31) % 1_500)}`),
        payloadHash: own,
      }));
      heads.set(id, head + operation.count);
      return async ({ log, held }: Side) => {
        const generation = held.get(key)?.generation ?? 0;
        const writers = [{ userId: "u", clientId: operation.client, generation, lastClientSeq: own }];
        const outcome = await log.append(id, { epoch, expectedHead: head, records, writers });
        return outcome.kind === "conflict" ? plain(outcome.records) : outcome;
      };
    }
    case "claim":
      return async ({ log, claims }: Side) => {
        const claim = await log.claim(id, { userId: "u", clientId: operation.client }, `e${own}`);
        claims.set(`${id} ${operation.client}`, claim);
        return { ...claim, generation: "any" };
      };
    case "snapshot":
      return ({ log }: Side) => log.putSnapshot(id, epoch, { seq: head, bytes: bytes(`snapshot ${own}`) });
    case "trim":
      return ({ log }: Side) => log.trim(id, epoch, head - operation.back);
    case "delete":
      return ({ log }: Side) => log.delete(id);
    case "renew":
      return ({ log }: Side) => log.renewEpoch(id, epoch, `renewed ${own}`);
    case "revoke":
      return ({ log }: Side) => {
        const { name } = operation;
        if (own % 2 === 0) return log.revoke({ kind: "token", tokenId: name });
        return log.revoke({ kind: "user", userId: name, issuedBeforeMs: (own * 7) % 100 });
      };
  }
}

/** All that can be seen of a log. */
async function observe(log: SessionLog) {
  const listed = await log.list("", "", 100);
  const seen = [];
  for (const { sessionId, first } of listed) {
    const records = plain(await log.read(sessionId, first, everything, everything));
    const snapshots = [];
    for (let at = everything; at >= 0; ) {
      const snapshot = await log.latestSnapshot(sessionId, at);
      if (snapshot !== undefined) snapshots.push([snapshot.seq, new TextDecoder().decode(snapshot.bytes)]);
      at = snapshot === undefined ? -1 : snapshot.seq - 1;
    }
    seen.push({ records, snapshots, state: await log.describe(sessionId) });
  }
  // Places may differ: one that failed may have taken its own along.
  const revocations = (await log.revocations(0, 100)).map(({ revocation }) => revocation);
  return { listed, seen, revocations };
}

/** An engine whose statements fail where the driver is told so. */
export interface FaultyEngine {
  readonly log: SessionLog;
  /** Left out: no statement fails, and each operation is asked for when the one before it is answered. */
  readonly driver?: FaultyDriver;
  /** The log as it is opened by somebody who knows nothing but what is stored. */
  readonly reopen: () => Promise<SessionLog>;
  /** Does what a failed statement has put off, where the engine does so by itself later. */
  readonly settle?: () => Promise<void>;
  readonly dispose: () => Promise<void>;
}

/**
 * Asks an engine and the memory log for the same, whatever that is and whichever statement fails, and compares all that can
 * be seen of both. Tells how many statements failed.
 */
export async function compareWithMemory(open: (now: () => number) => Promise<FaultyEngine>): Promise<number> {
  let faults = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      mark = 0;
      const now = () => 1_000_000;
      const engine = await open(now);
      const { driver } = engine;
      const real: Side = { log: engine.log, claims: new Map(), held: new Map() };
      const model: Side = { log: createMemoryLog(now), claims: new Map(), held: new Map() };
      try {
        for (const id of sessions) {
          for (const clientId of clients) {
            for (const { log, claims } of [real, model]) {
              claims.set(`${id} ${clientId}`, await log.claim(id, { userId: "u", clientId }, "first"));
            }
          }
        }
        for (const { together, fault, reopen } of steps) {
          const listed = await model.log.list("", "", 100);
          const heads = new Map(listed.map(({ sessionId, head }) => [sessionId, head]));
          const epochs = new Map(listed.map(({ sessionId, epoch }) => [sessionId, epoch]));
          const plans = together.map((operation) => plan(operation, heads, epochs));
          for (const side of [real, model]) side.held = new Map(side.claims);
          let left = fault?.after ?? 0;
          const results: PromiseSettledResult<unknown>[] = [];
          if (driver === undefined) {
            for (const run of plans) results.push(...(await Promise.allSettled([run(real)])));
          } else {
            driver.fault = (sql, _values, when) => {
              if (fault === null || when === "after" || sql.startsWith("SELECT") || left-- !== 0) return undefined;
              faults += 1;
              return fault.code;
            };
            results.push(...(await Promise.allSettled(plans.map((run) => run(real)))));
            driver.fault = () => undefined;
          }
          for (const [i, run] of plans.entries()) {
            const result = results[i];
            if (result?.status === "fulfilled") assert.deepEqual(result.value, await run(model));
            else {
              const isMeant = driver !== undefined && fault !== null;
              assert.ok(result?.reason instanceof BatonError && isMeant, String(result?.reason));
            }
          }
          if (fault !== null) await engine.settle?.();
          if (reopen) real.log = await engine.reopen();
          assert.deepEqual(await observe(real.log), await observe(model.log));
        }
      } finally {
        await engine.dispose();
      }
    }),
    { numRuns: 20, seed: 20261123 },
  );
  return faults;
}
