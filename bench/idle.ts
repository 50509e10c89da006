import { setTimeout as sleep } from "node:timers/promises";
import { relayGreetings } from "../src/cli/bench/audience.ts";
import { BareConnection } from "../src/cli/bench/bare-connection.ts";
import { newTally } from "../src/cli/bench/bare-stream.ts";
import { readToken, subscribe, until } from "../src/cli/bench/calls.ts";
import type { MeasuredProcess } from "../src/cli/bench/measured-process.ts";
import { median, spread } from "../src/cli/bench/statistics.ts";
import { peers, withPeer, withRelay } from "./contestants.ts";
import { type BenchOptions, nameOf, type Row } from "./row.ts";

const streams = 2_000;
const connectionCount = 20;
/**
 * Opened before, on connections like the others: what is loaded and compiled once is not a stream's, nor what an engine's
 * heap grows by with the first thousand that come at once and keeps (45 MB on Deno; each further thousand costs the same).
 */
const connectionsBefore = 10;

/** KiB for each stream. */
const goals = { bun: 10, node: 20, deno: 64 };
const besides = {
  bun: { stock: peers.stockBun, floor: peers.floorBun },
  node: { stock: peers.stockNode, floor: peers.floorNode },
  deno: { stock: peers.stockDeno, floor: peers.floorDeno },
};

/** Resident memory for each `Subscribe` stream on which nothing happens, in KiB. */
export async function rows({ runtimes, runs }: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const runtime of runtimes) {
    const { stock, floor } = besides[runtime];
    const values: { relay: number[]; stock: number[]; floor: number[] } = { relay: [], stock: [], floor: [] };
    for (let run = 0; run < Math.min(runs, 3); run++) {
      values.relay.push(await withRelay({ runtime, log: "memory" }, (server) => measure(server, relayGreetings)));
      values.stock.push(await withPeer(stock, ["100"], (server) => measure(server, 1)));
      values.floor.push(await withPeer(floor, ["100"], (server) => measure(server, 1)));
    }
    all.push(
      {
        name: `memory for each idle stream, ${nameOf(runtime)}`,
        value: median(values.relay),
        unit: "KiB",
        goal: { atMost: goals[runtime] },
        peer: { name: "stock connect-es", value: median(values.stock) },
        note: `${streams} streams over ${connectionCount} connections, resident after a full collection; runs ${spread(values.relay)}`,
      },
      { name: `  ${floor.title}`, value: median(values.floor), unit: "KiB", note: `runs ${spread(values.floor)}` },
    );
  }
  return all;
}

async function measure(server: MeasuredProcess, greetings: number): Promise<number> {
  const connections: BareConnection[] = [];
  try {
    const token = await readToken();
    const open = async (count: number) => {
      const tally = newTally();
      const connection = await BareConnection.open(server.port);
      connections.push(connection);
      for (let index = 0; index < count; index++) subscribe(connection, { token, tally });
      await until(() => tally.messages >= count * greetings, "the streams");
    };
    for (let index = 0; index < connectionsBefore; index++) await open(streams / connectionCount);
    const before = (await server.usage("collect")).rssBytes;
    for (let index = 0; index < connectionCount; index++) await open(streams / connectionCount);
    await sleep(500);
    const after = (await server.usage("collect")).rssBytes;
    return (after - before) / streams / 1024;
  } finally {
    for (const connection of connections) connection.close();
  }
}
