// One run of the fan-out: one server process, its subscribers, one publisher.
import process from "node:process";
import { BareConnection, type Tally } from "./bare-h2.ts";
import { collaborate, encodeMessage, newTally, readToken, subscribe, until, writeToken } from "./calls.ts";
import { type ServerKind, ServerProcess } from "./server-process.ts";

export interface FanoutLoad {
  readonly subscribers: number;
  readonly connections: number;
  /** "full": the next message goes as soon as fewer than `window` are under way; else so many a second. */
  readonly perSecond: number | "full";
  /** Messages sent that the subscribers, on average, have not got yet; while it warms up, at any rate. */
  readonly window: number;
  /** At full speed, whatever is measured then, so that it is compiled code that is measured. */
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface FanoutResult {
  /** CPU time of the server's process for each message delivered to one subscriber. */
  readonly usPerDelivery: number;
  readonly deliveriesPerSecond: number;
  readonly messagesPerWrite: number;
  /** Mean bytes of one message on the wire, its envelope with it. */
  readonly frameBytes: number;
  /** CPU time by wall time: 1 = one core. */
  readonly serverLoad: number;
  readonly clientLoad: number;
}

export const dataBytes = 100;

/** Frames before the first message: a Heartbeat and, from the relay, the Welcome. */
const greetings: Readonly<Record<ServerKind, number>> = { relay: 2, stock: 1, floor: 1 };

export async function runFanout(kind: ServerKind, load: FanoutLoad): Promise<FanoutResult> {
  const server = await ServerProcess.start(kind);
  const connections: BareConnection[] = [];
  const pacing: { timer?: ReturnType<typeof setInterval> } = {};
  try {
    const ended: string[] = [];
    const onEnd = (text: string) => void ended.push(text);
    const tally = newTally();
    const token = await readToken();
    for (let index = 0; index < load.connections; index++) {
      const connection = await BareConnection.open(server.port);
      connections.push(connection);
      const from = Math.round((index * load.subscribers) / load.connections);
      const to = Math.round(((index + 1) * load.subscribers) / load.connections);
      for (let count = from; count < to; count++) subscribe(connection, { token, tally, onEnd });
    }
    const publishing = await BareConnection.open(server.port);
    connections.push(publishing);
    const own = newTally();
    const publisher = collaborate(publishing, { token: await writeToken("publisher"), tally: own, onEnd });
    await until(() => tally.messages >= load.subscribers * greetings[kind] && own.messages >= greetings[kind], "joins");
    await Bun.sleep(100);

    const before = tally.messages;
    const data = new Uint8Array(dataBytes);
    let published = 0;
    const publish = () => {
      published += 1;
      publisher.send(encodeMessage({ case: "custom", value: { type: "b", data } }, published));
    };
    let isPumping = true;
    const pump = () => {
      while (isPumping && published - (tally.messages - before) / load.subscribers < load.window) publish();
    };
    for (const connection of connections) connection.onChunk = pump;
    pump();
    await Bun.sleep(load.warmUpMs);
    if (load.perSecond !== "full") {
      isPumping = false;
      await until(() => tally.messages - before >= published * load.subscribers, "the warm-up's messages");
      pacing.timer = setInterval(publish, 1000 / load.perSecond);
      await Bun.sleep(200);
    }
    const measured = await measure(server, tally, load.measureMs);
    if (ended.length > 0) throw new Error(`${ended.length} streams ended: ${ended[0]}`);
    return measured;
  } finally {
    clearInterval(pacing.timer);
    for (const connection of connections) connection.close();
    await server.stop();
  }
}

async function measure(server: ServerProcess, tally: Tally, measureMs: number): Promise<FanoutResult> {
  const usage = await server.usage();
  const own = process.cpuUsage();
  const { messages, bytes, writes } = tally;
  const startMs = performance.now();
  await Bun.sleep(measureMs);
  const deliveries = tally.messages - messages;
  const wrote = tally.writes - writes;
  const frameBytes = (tally.bytes - bytes) / deliveries;
  const wallUs = (performance.now() - startMs) * 1000;
  const { user, system } = process.cpuUsage(own);
  const cpuUs = (await server.usage()).cpuUs - usage.cpuUs;
  if (deliveries === 0) throw new Error("nothing was delivered");
  return {
    usPerDelivery: cpuUs / deliveries,
    deliveriesPerSecond: (deliveries / wallUs) * 1e6,
    messagesPerWrite: deliveries / wrote,
    frameBytes,
    serverLoad: cpuUs / wallUs,
    clientLoad: (user + system) / wallUs,
  };
}
