// Appends through the port of the log on Redis, beside a bare script that takes the same frames. Argument: rounds.
import process from "node:process";
import { appendSessions, measureAppends } from "../../src/cli/bench/measure-appends.ts";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";
import { startRedis } from "../../test/support/redis-server.ts";
import { bareFrame, bareScript } from "../redis/bare-script.ts";
import { inTurn, print } from "./worker.ts";

const [rounds] = process.argv.slice(2);

type Way = () => Promise<number>;

const withRedis = async (appendfsync: string, measure: (url: string) => Promise<number>): Promise<number> => {
  const redis = await startRedis({ appendfsync });
  try {
    return await measure(redis.url);
  } finally {
    await redis.dispose();
  }
};

const port =
  (appendfsync: string, appends: number, recordsPerAppend: number): Way =>
  () =>
    withRedis(appendfsync, async (url) => {
      const log = createRedisLog({ connection: await connectRedisTcp({ url }), prefix: "bench:", now: Date.now });
      const result = await measureAppends(log, { appends, recordsPerAppend });
      await log.close();
      return result;
    });

const bare =
  (appendfsync: string, appends: number): Way =>
  () =>
    withRedis(appendfsync, async (url) => {
      const connection = await connectRedisTcp({ url });
      const startMs = performance.now();
      await Promise.all(
        Array.from({ length: appendSessions }, async (_, session) => {
          for (let head = 0; head < appends; head++) {
            const done = await connection.run(bareScript, [`h${session}`, `r${session}`], [String(head), bareFrame]);
            if (done !== -1) throw new Error("the head is another");
          }
        }),
      );
      const result = ((appendSessions * appends) / (performance.now() - startMs)) * 1000;
      await connection.close();
      return result;
    });

print([
  {
    name: "appends",
    edits: 0,
    figures: await inTurn(Number(rounds), {
      "bare always": bare("always", 200),
      "always 1": port("always", 200, 1),
      "always 8": port("always", 100, 8),
      "bare everysec": bare("everysec", 200),
      "everysec 1": port("everysec", 200, 1),
      "everysec 8": port("everysec", 100, 8),
    }),
  },
]);
