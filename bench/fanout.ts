import { dataBytes, type FanoutLoad, type FanoutResult, runFanout } from "./fanout-run.ts";
import { median, number, type Row, spread } from "./row.ts";
import type { ServerKind } from "./server-process.ts";

const runs = 5;
const subscribers = 200;

interface Case {
  readonly name: string;
  readonly load: Pick<FanoutLoad, "connections" | "perSecond" | "window">;
  /** us for each delivery, through the whole relay. */
  readonly goalUs?: number;
}

const cases: readonly Case[] = [
  { name: "4 connections, full speed", load: { connections: 4, perSecond: "full", window: 64 }, goalUs: 0.5 },
  { name: "200 connections, full speed", load: { connections: 200, perSecond: "full", window: 64 }, goalUs: 1.5 },
  { name: "200 connections, 100 messages/s", load: { connections: 200, perSecond: 100, window: 64 }, goalUs: 4 },
  // The next message goes when everybody has the last one: nothing ever gathers.
  { name: "4 connections, one message at a time", load: { connections: 4, perSecond: "full", window: 1 } },
  { name: "200 connections, one message at a time", load: { connections: 200, perSecond: "full", window: 1 } },
];

const kinds = ["relay", "stock", "floor"] as const satisfies readonly ServerKind[];

/** CPU time of the server's process for each delivered message. */
export async function rows(): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const given of cases) {
    const results: Record<(typeof kinds)[number], FanoutResult[]> = { relay: [], stock: [], floor: [] };
    // In turn, so that what else the machine does falls on all alike.
    for (let run = 0; run < runs; run++) {
      for (const kind of kinds) {
        results[kind].push(await runFanout(kind, { ...given.load, subscribers, warmUpMs: 1_500, measureMs: 1_000 }));
      }
    }
    all.push(...rowsOf(given, results));
  }
  return all;
}

function rowsOf(
  { name, goalUs }: Case,
  { relay, stock, floor }: Readonly<Record<(typeof kinds)[number], readonly FanoutResult[]>>,
): Row[] {
  const us = (results: readonly FanoutResult[]) => median(results.map(({ usPerDelivery }) => usPerDelivery));
  return [
    {
      name: `fan-out, ${name}`,
      value: us(relay),
      unit: "us/delivery",
      ...(goalUs === undefined ? {} : { goal: { atMost: goalUs } }),
      peer: { name: "stock connect-es", value: us(stock) },
      note: describe(relay),
    },
    {
      name: "  the floor: Bun's direct streams alone",
      value: us(floor),
      unit: "us/delivery",
      note: describe(floor),
    },
  ];
}

function describe(results: readonly FanoutResult[]): string {
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
