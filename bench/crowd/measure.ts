import { setTimeout as sleep } from "node:timers/promises";
import { spreadOver } from "../../src/cli/bench/audience.ts";
import { BareConnection } from "../../src/cli/bench/bare-connection.ts";
import { type BareStream, newTally } from "../../src/cli/bench/bare-stream.ts";
import { collaborate, decodeMessage, encodeMessage, readToken, subscribe, until } from "../../src/cli/bench/calls.ts";
import type { MeasuredProcess } from "../../src/cli/bench/measured-process.ts";
import { median } from "../../src/cli/bench/statistics.ts";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import { withRelay } from "../contestants.ts";
import { readMetrics } from "../metrics.ts";

export interface Crowd {
  readonly streams: number;
  readonly connections: number;
}

export interface Seen {
  /** More than before they came, after a full collection. */
  readonly rssBytes: number;
  readonly heapBytes: number;
  readonly heartbeats: {
    readonly heard: number;
    readonly missed: number;
    /** Behind the interval. */
    readonly latestMs: number;
    readonly medianMs: number;
  };
  /** Names of the gauges that should be 0 once all are gone, and are not. */
  readonly gaugesLeft: readonly string[];
  /** As the relay counts them, of both times. */
  readonly joins: number;
  readonly ends: number;
  /** Of the heap: after the second time, less after the first. */
  readonly leftBytes: number;
}

const heartbeatMs = 15_000;
/** How often each is to be heard. */
const beats = 3;
/** In which the room is still there for those who come back. */
const roomIdleMs = 1_000;
const greetings = 2;

export async function measure(runtime: RuntimeName, crowd: Crowd): Promise<Seen> {
  const limits = { heartbeatMs, roomIdleMs, readers: crowd.streams };
  return await withRelay(
    { runtime, log: "memory" },
    async (relay) => {
      const before = await relay.usage("collect");
      const first = await openCrowd(relay, crowd);
      const during = await relay.usage("collect");
      await sleep(beats * heartbeatMs + heartbeatMs / 2);
      const heartbeats = { ...summarize(first.latenessMs), missed: beats * crowd.streams - first.latenessMs.length };
      await first.leave();
      const after = await relay.usage("collect");
      await (await openCrowd(relay, crowd)).leave();
      const afterAgain = await relay.usage("collect");
      const metrics = await readMetrics(relay.port);
      return {
        rssBytes: during.rssBytes - before.rssBytes,
        heapBytes: during.heapBytes - before.heapBytes,
        heartbeats,
        gaugesLeft: metrics.gaugesAbove0(),
        joins: metrics.sum("baton_joins_total"),
        ends: metrics.sum("baton_stream_ends_total", 'reason="OK"'),
        leftBytes: afterAgain.heapBytes - after.heapBytes,
      };
    },
    { limits },
  );
}

async function openCrowd(relay: MeasuredProcess, { streams, connections: connectionCount }: Crowd) {
  const connections: BareConnection[] = [];
  const latenessMs: number[] = [];
  const ended: string[] = [];
  let isLeaving = false;
  const token = await readToken();
  let count = 0;
  for (const share of spreadOver(streams, connectionCount)) {
    const connection = await BareConnection.open(relay.port);
    connections.push(connection);
    const tally = newTally();
    for (let index = 0; index < share; index++) {
      const isBidi = ++count % 2 === 0;
      let messages = 0;
      let heard = 0;
      let heardAtMs = 0;
      const onMessage = (bytes: Uint8Array) => {
        messages += 1;
        const nowMs = performance.now();
        if (messages > greetings) {
          if (decodeMessage(bytes).payload.case !== "heartbeat") return;
          heard += 1;
          // Where the machine is slow there is time for one more, which makes up for nobody's that did not come.
          if (heard <= beats) latenessMs.push(nowMs - heardAtMs - heartbeatMs);
          // As a client does. Who came by Subscribe answers by Publish, and less often than this lasts.
          if (isBidi) stream.send(encodeMessage({ case: "heartbeat", value: {} }));
        }
        heardAtMs = nowMs;
      };
      const onEnd = (text: string) => {
        if (!isLeaving) ended.push(text);
      };
      const call = { token, tally, onMessage, onEnd };
      const stream: BareStream = isBidi ? collaborate(connection, call) : subscribe(connection, call);
    }
    await until(() => tally.messages >= share * greetings, "the streams");
  }
  return {
    latenessMs,
    async leave() {
      if (ended.length > 0) throw new Error(`${ended.length} streams ended: ${ended[0]}`);
      isLeaving = true;
      for (const connection of connections) connection.close();
      const deadlineMs = performance.now() + 20_000;
      while ((await readMetrics(relay.port)).gaugesAbove0().length > 0 && performance.now() < deadlineMs) {
        await sleep(200);
      }
    },
  };
}

function summarize(latenessMs: readonly number[]) {
  return { heard: latenessMs.length, latestMs: Math.max(...latenessMs), medianMs: median(latenessMs) };
}
