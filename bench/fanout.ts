import { contractAudience } from "../src/cli/bench/audience.ts";
import { type FanoutLoad, type FanoutResult, measureFanout } from "../src/cli/bench/measure-fanout.ts";
import { median, number, spread } from "../src/cli/bench/statistics.ts";
import type { RuntimeName } from "../src/runtime/this-runtime.ts";
import { frameBytesOf } from "./audiences/frame-bytes.ts";
import { findH2load, h2loadAudience } from "./audiences/h2load.ts";
import { openRelaySocketAudience } from "./audiences/websocket.ts";
import { type PeerName, peers, withPeer, withRelay } from "./contestants.ts";
import { progress } from "./progress.ts";
import { type BenchOptions, nameOf, type Row, relayVariants, variantTitle } from "./row.ts";

const subscribers = 200;
const warmUpMs = 1_500;
const measureMs = 1_000;

/** us for each delivery, through the whole relay; how many times less than the original service. */
interface Goals {
  readonly us?: Partial<Readonly<Record<RuntimeName, number>>>;
  readonly timesLess?: number;
}

interface Case {
  readonly name: string;
  readonly load: Pick<FanoutLoad, "connections" | "perSecond" | "window" | "dataBytes">;
  readonly goals: Goals;
  /** Also with the SQLite log, and with h2load for a reader. */
  readonly isFull: boolean;
}

const full = { perSecond: "full", window: 64, dataBytes: 100 } as const;
/** Fewer on their way: more would not fit into the window of HTTP/2 that the publisher has, 64 KiB. */
const large = { perSecond: "full", window: 12, dataBytes: 4096 } as const;

const cases: readonly Case[] = [
  {
    name: "4 connections, full speed",
    load: { ...full, connections: 4 },
    goals: { us: { bun: 0.5, node: 1.8, deno: 6 }, timesLess: 12 },
    isFull: true,
  },
  {
    name: "200 connections, full speed",
    load: { ...full, connections: 200 },
    goals: { us: { bun: 1.5 }, timesLess: 6 },
    isFull: true,
  },
  {
    name: "200 connections, 100 messages/s",
    load: { ...full, connections: 200, perSecond: 100 },
    goals: { us: { bun: 4 } },
    isFull: false,
  },
  {
    name: "4 connections, 4 KiB, full speed",
    load: { ...large, connections: 4 },
    goals: {},
    isFull: false,
  },
  {
    name: "200 connections, 4 KiB, full speed",
    load: { ...large, connections: 200 },
    goals: {},
    isFull: false,
  },
  // The next message goes when everybody has the last one: nothing ever gathers.
  { name: "4 connections, one at a time", load: { ...full, connections: 4, window: 1 }, goals: {}, isFull: false },
  { name: "200 connections, one at a time", load: { ...full, connections: 200, window: 1 }, goals: {}, isFull: false },
];

/** A server under one load: what is printed of it, and how it is measured once. */
interface Contestant {
  readonly title: string;
  readonly results: FanoutResult[];
  readonly run: () => Promise<FanoutResult>;
  readonly relay?: RuntimeName;
  readonly peer?: PeerName;
}

/** CPU time of the server's process for each delivered message. */
export async function rows(options: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const given of cases) {
    if (options.only !== undefined && !given.name.includes(options.only)) continue;
    const contestants = contestantsOf(given, options);
    // In turn, so that what else the machine does falls on all alike.
    for (let run = 0; run < options.runs; run++) {
      for (const { run: measure, results, title } of contestants) {
        progress(`${given.name}: ${title}, run ${run + 1} of ${options.runs}`);
        results.push(await measure());
      }
    }
    all.push(...rowsOf(given, contestants));
  }
  return all;
}

function contestantsOf({ load, isFull }: Case, options: BenchOptions): readonly Contestant[] {
  const whole = { ...load, subscribers, warmUpMs, measureMs };
  const relays = relayVariants(options)
    .filter(({ log }) => isFull || log === options.logs[0])
    .map((variant) => ({
      title: variantTitle(variant),
      relay: variant.runtime,
      results: [],
      run: () =>
        withRelay(variant, (server) => measureFanout(server, contractAudience(), whole), { parent: options.folder }),
    }));
  const [variant] = relayVariants(options);
  const h2load = isFull ? findH2load() : undefined;
  const readByH2load =
    variant === undefined || h2load === undefined
      ? []
      : [
          {
            title: `${variantTitle(variant)}, read by h2load`,
            results: [],
            run: () =>
              withRelay(variant, (server) => measureFanout(server, h2loadAudience(h2load), whole), {
                parent: options.folder,
              }),
          },
        ];
  // A WebSocket is a connection.
  const bySocket = relayVariants(options)
    .filter(({ log }) => load.connections === subscribers && log === options.logs[0])
    .map((variant) => ({
      title: `${variantTitle(variant)}, WebSocket`,
      results: [],
      run: () =>
        withRelay(variant, (server) => measureFanout(server, openRelaySocketAudience, whole), {
          parent: options.folder,
        }),
    }));
  const others = Object.keys(peers)
    .filter((name): name is PeerName => name in peers)
    .filter((name) => peers[name].sharesConnections || load.connections === subscribers)
    .filter((name) => name === "original" || options.runtimes.includes(peers[name].runtime))
    .map((name) => ({
      title: peers[name].title,
      peer: name,
      results: [],
      run: () =>
        withPeer(peers[name], [String(frameBytesOf(load.dataBytes))], (server) =>
          measureFanout(server, peers[name].open, whole),
        ),
    }));
  return [...relays, ...bySocket, ...readByH2load, ...others];
}

const usOf = (results: readonly FanoutResult[]) => median(results.map(({ usPerDelivery }) => usPerDelivery));

function rowsOf({ name, goals, load }: Case, contestants: readonly Contestant[]): Row[] {
  const original = contestants.find(({ peer }) => peer === "original");
  const beside = original && { name: "original", value: usOf(original.results) };
  const rows: Row[] = contestants.map(({ title, results, relay, peer }) => {
    const goal = relay === undefined ? undefined : goals.us?.[relay];
    return {
      name: peer === undefined ? `fan-out, ${name}: ${title}` : `  ${title}`,
      value: usOf(results),
      unit: "us/delivery",
      ...(goal !== undefined && { goal: { atMost: goal } }),
      ...(beside && peer !== "original" && { peer: beside }),
      note: describe(results, load.dataBytes),
    };
  });
  const first = contestants.find(({ relay }) => relay === "bun");
  if (first === undefined) return rows;
  const us = usOf(first.results);
  if (goals.timesLess !== undefined && beside) {
    rows.push({
      name: `  times less than the original: ${nameOf("bun")}`,
      value: beside.value / us,
      unit: "times",
      goal: { atLeast: goals.timesLess },
    });
  }
  const publish = contestants.find(({ peer }) => peer === "publish");
  if (publish !== undefined && goals.timesLess !== undefined) {
    rows.push({
      name: "  times less than Bun's publish: Bun",
      value: usOf(publish.results) / us,
      unit: "times",
      goal: { atLeast: 1 },
    });
  }
  return rows;
}

function describe(results: readonly FanoutResult[], dataBytes: number): string {
  const mid = (of: (result: FanoutResult) => number) => median(results.map(of));
  const frame = number(mid(({ frameBytes }) => frameBytes));
  const clientLoad = mid((result) => result.clientLoad);
  return [
    `runs ${spread(results.map(({ usPerDelivery }) => usPerDelivery))}`,
    `${dataBytes} B of data in frames of ${frame} B`,
    `${number(mid((result) => result.messagesPerWrite))} messages a write`,
    `${number(mid((result) => result.deliveriesPerSecond))} deliveries/s`,
    `cores: server ${number(mid((result) => result.serverLoad))}, client ${number(clientLoad)}`,
    ...(clientLoad > 0.9 ? ["THE CLIENT WAS THE LIMIT"] : []),
  ].join("; ");
}
