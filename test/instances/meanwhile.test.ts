import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Fault_Action as Action, Join_History as History } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { encodeSnapshot } from "../../src/session/snapshot.ts";
import { edit, type Stream } from "../relay/harness.ts";
import { roomOf, startPair } from "./pair.ts";

type Pair = Awaited<ReturnType<typeof startPair>>;
type Happening = (pair: Pair, session: string) => Promise<unknown>;

const limits = { snapshotRecords: 1_000_000, messagesPerSecond: 1_000_000, messagesBurst: 1_000_000 };

/** Counts the calls to a log, and lets something happen before one of them. */
function interrupt() {
  let left = Number.POSITIVE_INFINITY;
  const failures: unknown[] = [];
  let happen: () => Promise<unknown> = async () => undefined;
  const before =
    <A extends readonly unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      left -= 1;
      if (left === 0) await happen().catch((error: unknown) => failures.push(error));
      return await call(...args);
    };
  return {
    farLog: (log: SessionLog): SessionLog => ({
      ...log,
      describe: before(log.describe),
      claim: before(log.claim),
      read: before(log.read),
      latestSnapshot: before(log.latestSnapshot),
      watch: () => () => undefined,
    }),
    /** Before the next call but `calls`. */
    arm(calls: number, what: () => Promise<unknown>) {
      left = calls + 1;
      happen = what;
    },
    get hasHappened() {
      return left <= 0;
    },
    disarm() {
      left = Number.POSITIVE_INFINITY;
      assert.deepEqual(failures, []);
    },
  };
}

const happenings: Readonly<Record<string, Happening>> = {
  "is trimmed further": async ({ log }, session) => {
    const epoch = (await log.describe(session))?.epoch ?? "";
    await log.trim(session, epoch, 20);
  },
  "is trimmed to its end": async ({ log, here }, session) => {
    const room = roomOf(here, session);
    const bytes = encodeSnapshot(room.state, here.now(), defaultLimits);
    await log.putSnapshot(session, room.state.epoch, { seq: room.state.head, bytes });
    await log.trim(session, room.state.epoch, room.state.head);
  },
  "goes on under another epoch": async ({ log }, session) => {
    const epoch = (await log.describe(session))?.epoch ?? "";
    await log.renewEpoch(session, epoch, `${epoch}'`);
  },
  "is deleted": ({ log }, session) => log.delete(session),
  "is deleted and made anew": async ({ log, here }, session) => {
    await log.delete(session);
    roomOf(here, session).pipeline.rang();
    const again = await here.join({ as: "zoe", clientId: "z", session });
    await again.take("welcome");
    again.send(edit("a.ts", 0, 0, 0, "z"), { clientSeq: 1n });
    for (let n = 2; n <= 40; n++) again.send(edit("a.ts", n - 1, 0, 0, "z"), { clientSeq: BigInt(n) });
    await again.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.clientSeq === 40n);
  },
};

/** A session of 30 records, with snapshots at 10 and 20, trimmed at 10. */
async function prepare(pair: Pair, session: string) {
  const { here, log } = pair;
  const writer = await here.join({ as: "ann", clientId: "a", session });
  const { resumeToken } = await writer.take("welcome");
  const put = async (upTo: number) => {
    await writer.takeMessage(
      "ack",
      ({ payload }) => payload.case === "ack" && payload.value.clientSeq === BigInt(upTo),
    );
    const { state } = roomOf(here, session);
    await log.putSnapshot(session, state.epoch, {
      seq: state.head,
      bytes: encodeSnapshot(state, here.now(), defaultLimits),
    });
  };
  writer.send(edit("a.ts", 0, 0, 0, "a"), { clientSeq: 1n });
  for (let n = 2; n <= 30; n++) {
    writer.send(edit("a.ts", n - 1, 0, 0, "a"), { clientSeq: BigInt(n) });
    if (n === 10 || n === 20) await put(n);
  }
  await writer.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.clientSeq === 30n);
  await log.trim(session, roomOf(here, session).state.epoch, 10);
  writer.cut();
  await writer.ended;
  return resumeToken;
}

const joins = {
  FULL: { history: History.FULL },
  SNAPSHOT: { history: History.SNAPSHOT },
  LIVE: { history: History.LIVE },
  resumed: { lastSeq: 12n },
} as const;

const comeAgain: ReadonlySet<Action> = new Set([Action.RECONNECT, Action.RESYNC]);

/** All text that a client was told. */
const textOf = (stream: Stream) =>
  stream.received
    .map(({ payload }) => {
      if (payload.case === "edit") return payload.value.changes.map(({ insert }) => insert).join("");
      return payload.case === "snapshot" ? payload.value.files.map(({ content }) => content).join("") : "";
    })
    .join("");

describe("a join while its session changes in the log", () => {
  for (const [what, happening] of Object.entries(happenings)) {
    for (const [how, fields] of Object.entries(joins)) {
      for (const scope of ["session:edit", "session:read"]) {
        test(`SL4 ${how} with ${scope}, where it ${what} between any two calls to the log, shows one history or ends to come again`, async () => {
          const meeting = interrupt();
          const pair = await startPair({ limits, farLog: meeting.farLog });
          try {
            const places: string[] = [];
            for (let calls = 0; ; calls++) {
              const session = `s${calls}`;
              const resumeToken = await prepare(pair, session);
              const original = (await pair.log.describe(session))?.epoch ?? "";
              meeting.arm(calls, () => happening(pair, session));
              const sub = how === "resumed" ? "ann" : "bob";
              const token = await pair.there.token({ sub, sessions: [session], scope });
              const stream = await pair.there.join({
                token,
                session,
                ...fields,
                ...(how === "resumed" && { resumeToken }),
              });
              const welcome = await stream.take("welcome").catch(() => undefined);
              stream.finish();
              const { fault } = await stream.ended;
              const { hasHappened } = meeting;
              meeting.disarm();
              const place = `before call ${calls}: ${fault?.reason}`;
              if (fault !== undefined) assert.ok(comeAgain.has(fault.action), place);
              const isOriginal = welcome?.epoch.startsWith(original) === true;
              assert.match(textOf(stream), isOriginal ? /^a*$/ : /^z*$/, place);
              if (!hasHappened) break;
              places.push(welcome === undefined ? "ended" : isOriginal ? "original" : "new");
            }
            assert.ok(places.length >= 2, places.join());
          } finally {
            await pair.stop();
          }
        });
      }
    }
  }
});
