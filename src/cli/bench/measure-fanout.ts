import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Audience, OpenAudience } from "./audience.ts";
import { until } from "./calls.ts";
import type { MeasuredProcess } from "./measured-process.ts";

export interface FanoutLoad {
  readonly subscribers: number;
  readonly connections: number;
  readonly dataBytes: number;
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

/** One run of the fan-out on a server that was just started. */
export async function measureFanout(
  server: MeasuredProcess,
  open: OpenAudience,
  load: FanoutLoad,
): Promise<FanoutResult> {
  const audience = await open({ ...load, port: server.port });
  let timer: ReturnType<typeof setInterval> | undefined;
  try {
    await sleep(100);
    const { tally, subscribers } = audience;
    const before = tally.messages;
    const onTheirWay = () => published - (tally.messages - before) / subscribers;
    let published = 0;
    const publish = () => {
      published += 1;
      audience.publish(published);
    };
    let isPumping = true;
    const pump = () => {
      while (isPumping && onTheirWay() < load.window) publish();
    };
    audience.onChunk(pump);
    pump();
    await sleep(load.warmUpMs);
    if (load.perSecond !== "full") {
      isPumping = false;
      await until(() => onTheirWay() <= 0, "the warm-up's messages");
      timer = setInterval(publish, 1000 / load.perSecond);
      await sleep(200);
    }
    const measured = await measure(server, audience, load.measureMs);
    if (audience.ended.length > 0) throw new Error(`${audience.ended.length} streams ended: ${audience.ended[0]}`);
    return measured;
  } finally {
    clearInterval(timer);
    audience.close();
  }
}

async function measure(server: MeasuredProcess, { tally }: Audience, measureMs: number): Promise<FanoutResult> {
  const usage = await server.usage();
  const own = process.cpuUsage();
  const { messages, bytes, writes } = tally;
  const startMs = performance.now();
  await sleep(measureMs);
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
