import { setTimeout as sleep } from "node:timers/promises";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";

/** What one would write who keeps no more than an order: compare the head, keep the frame, raise the head. -1: it is in. */
export const bareScript = {
  name: "bare",
  lua: `
local head = tonumber(redis.call('GET', KEYS[1]) or '0')
if head ~= tonumber(ARGV[1]) then return head end
redis.call('XADD', KEYS[2], '*', 'f', ARGV[2])
redis.call('SET', KEYS[1], head + 1)
return -1
`,
};

export const bareFrame = Buffer.alloc(100, 7).toString("base64");

/** One connection, one append after the other, for so long. How long each took, in ms. */
export async function appendBarely(url: string, measureMs: number): Promise<readonly number[]> {
  const connection = await connectRedisTcp({ url });
  const tookMs: number[] = [];
  const endMs = performance.now() + measureMs;
  for (let head = 0, nowMs = performance.now(); nowMs < endMs; head++) {
    const done = await connection.run(bareScript, ["bare:head", "bare:frames"], [String(head), bareFrame]);
    if (done !== -1) throw new Error("the head is another");
    const thenMs = performance.now();
    tookMs.push(thenMs - nowMs);
    nowMs = thenMs;
  }
  await connection.command("DEL", "bare:head", "bare:frames");
  await connection.close();
  return tookMs;
}

/** `connections` that race for one head, each retrying at once: how many appends each got in, and the longest that one took. */
export async function raceBarely(
  url: string,
  { connections, measureMs }: Readonly<Record<"connections" | "measureMs", number>>,
): Promise<{ readonly won: readonly number[]; readonly slowestMs: number }> {
  const endMs = performance.now() + measureMs;
  let slowestMs = 0;
  const race = async () => {
    const connection = await connectRedisTcp({ url });
    let won = 0;
    let head = 0;
    let sinceMs = performance.now();
    while (performance.now() < endMs) {
      const found = await connection.run(bareScript, ["race:head", "race:frames"], [String(head), bareFrame]);
      head = found === -1 ? head + 1 : Number(found);
      slowestMs = Math.max(slowestMs, performance.now() - sinceMs);
      if (found !== -1) continue;
      won += 1;
      sinceMs = performance.now();
    }
    await connection.close();
    return won;
  };
  const won = await Promise.all(Array.from({ length: connections }, race));
  return { won, slowestMs };
}

/** Asks for nothing, again and again, until stopped: how long each answer took, in ms. It shows what the machine adds. */
export async function startPings(url: string): Promise<{ stop(): Promise<readonly number[]> }> {
  const connection = await connectRedisTcp({ url });
  const tookMs: number[] = [];
  let isOver = false;
  const pinging = (async () => {
    while (!isOver) {
      const startMs = performance.now();
      await connection.command("PING");
      tookMs.push(performance.now() - startMs);
      await sleep(10);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await pinging;
      await connection.close();
      return tookMs;
    },
  };
}
