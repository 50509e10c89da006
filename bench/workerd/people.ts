import process from "node:process";
import { fileURLToPath } from "node:url";
import { median, percentile } from "../../src/cli/bench/statistics.ts";
import { Workerd } from "../../test/workerd/harness.ts";
import { pause } from "../../trial/until.ts";
import { progress } from "../progress.ts";
import type { Row } from "../row.ts";
import { benchSecret, SessionSocket } from "./session-socket.ts";

const people = 200;
const dataBytes = 100;
/** An ack has less, and what others say more. */
const ackBytes = 100;
/** Of one of them, unanswered. */
const mostUnanswered = 50;

/**
 * 200 people in one session, each of whom hears all others, while they say 50 messages a second: all of them together, and
 * then each. The second asks for 10,000 appends and two million deliveries a second.
 */
export async function measurePeople(seconds: number): Promise<readonly Row[]> {
  const workerd = await Workerd.start({
    entry: fileURLToPath(new URL("../../src/runtime/worker.ts", import.meta.url)),
    objects: { SESSIONS: "SessionObject", REPLICAS: "ReplicaObject", DIRECTORY: "DirectoryObject" },
    // What is asked of it, not what it would allow, is to be the limit.
    variables: { BATON_JWT_SECRET: benchSecret, BATON_LIMIT_MESSAGES_PER_SECOND: "1000" },
  });
  try {
    const together = await talk(workerd.url, "together", 50 / people, seconds);
    progress("and now each of them");
    const each = await talk(workerd.url, "each", 50, seconds);
    return [...rowsOf("50 messages/s of all", 50, together), ...rowsOf("50 messages/s of each", 50 * people, each)];
  } finally {
    await workerd.dispose();
  }
}

interface Talk {
  readonly acked: number;
  readonly delivered: number;
  readonly seconds: number;
  readonly ackMs: readonly number[];
  readonly ended: number;
  /** CPU of this process, which plays all of them, in cores. */
  readonly clientCores: number;
}

function rowsOf(name: string, asked: number, { acked, delivered, seconds, ackMs, ended, clientCores }: Talk): Row[] {
  const note = `ack p50 ${median(ackMs).toFixed(1)} ms, p99 ${percentile(ackMs, 0.99).toFixed(1)} ms; ${ended} streams ended; the people cost ${clientCores.toFixed(2)} cores`;
  return [
    {
      name: `200 people, ${name}: acked`,
      value: acked / seconds,
      unit: "messages/s",
      goal: { atLeast: asked * 0.98 },
      note,
    },
    { name: `200 people, ${name}: delivered`, value: delivered / seconds, unit: "messages/s" },
  ];
}

async function talk(url: string, session: string, messagesPerSecond: number, seconds: number): Promise<Talk> {
  const crowd = await Promise.all(
    Array.from({ length: people }, (_, n) =>
      SessionSocket.join({ url, session, sub: `p${n}`, scope: "session:custom", decodedBytes: ackBytes }),
    ),
  );
  await pause(1_000);
  const ackMs: number[] = [];
  const before = crowd.reduce((sum, { messages }) => sum + messages, 0);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const speaking = Promise.all(
    crowd.map((one, n) => speak(one, { messagesPerSecond, startMs, endMs, at: n / people, ackMs })),
  );
  await pause(seconds * 1000);
  const tookSeconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const messages = crowd.reduce((sum, one) => sum + one.messages, 0) - before;
  const acked = ackMs.length;
  const ended = crowd.filter((one) => one.ended !== undefined).length;
  await speaking;
  for (const one of crowd) one.close();
  await pause(500);
  const clientCores = (user + system) / 1e6 / tookSeconds;
  return { acked, delivered: messages - acked, seconds: tookSeconds, ackMs, ended, clientCores };
}

interface Speech {
  readonly messagesPerSecond: number;
  readonly startMs: number;
  readonly endMs: number;
  /** Where in its own interval it begins, 0 to 1: so that they do not all speak at once. */
  readonly at: number;
  readonly ackMs: number[];
}

/** Says what is due; what could not be said because too much is unanswered is not made up for. */
async function speak(one: SessionSocket, { messagesPerSecond, startMs, endMs, at, ackMs }: Speech): Promise<void> {
  const saidAtMs = new Map<number, number>();
  one.heard = ({ payload }) => {
    if (payload.case !== "ack") return;
    const clientSeq = Number(payload.value.clientSeq);
    const said = saidAtMs.get(clientSeq);
    saidAtMs.delete(clientSeq);
    if (said !== undefined) ackMs.push(performance.now() - said);
  };
  const intervalMs = 1000 / messagesPerSecond;
  let clientSeq = 0;
  for (let turn = 0; ; turn++) {
    const dueMs = startMs + (turn + at) * intervalMs;
    if (dueMs >= endMs || performance.now() >= endMs || one.ended !== undefined) break;
    await pause(Math.max(0, dueMs - performance.now()));
    if (saidAtMs.size >= mostUnanswered || one.ended !== undefined) continue;
    clientSeq += 1;
    saidAtMs.set(clientSeq, performance.now());
    one.say({ case: "custom", value: { type: "b", data: new Uint8Array(dataBytes) } }, clientSeq);
  }
  for (let waited = 0; saidAtMs.size > 0 && waited < 5_000 && one.ended === undefined; waited += 50) await pause(50);
}
