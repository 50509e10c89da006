import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { runtimes } from "../../test/support/runtimes.ts";

export type Runtime = keyof typeof runtimes;

const usageSchema = z.object({
  /** Resident memory of the process. */
  rssBytes: z.number(),
  /** What JavaScript holds, in its heap and outside of it. */
  heapBytes: z.number(),
  /** CPU time of the process so far. */
  cpuUs: z.number(),
});
export type Usage = z.infer<typeof usageSchema>;

/** The line with which a relay begins to serve. */
const readySchema = z.object({ port: z.number(), grpcPort: z.number(), sidePort: z.number() });
export type Ready = z.infer<typeof readySchema>;

/** A relay in a process of its own, so that its memory is its alone. */
export interface RelayProcess extends Ready {
  usage(): Promise<Usage>;
  /** After a full collection. */
  memory(): Promise<Usage>;
  stop(): Promise<void>;
}

export async function startRelayProcess(runtime: Runtime, dataDir: string): Promise<RelayProcess> {
  const script = fileURLToPath(new URL("server.ts", import.meta.url));
  const child = spawn(runtimes[runtime], ["--expose-gc", script, dataDir], { stdio: ["ignore", "pipe", "inherit"] });
  const kill = () => void child.kill();
  process.once("exit", kill);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void exited.then(() => process.removeListener("exit", kill));
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = readySchema.parse(JSON.parse(line));
    const ask = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${ready.sidePort}${path}`);
      return usageSchema.parse(await response.json());
    };
    return {
      ...ready,
      usage: () => ask("/"),
      memory: () => ask("/collect"),
      async stop() {
        kill();
        await exited;
      },
    };
  }
  throw new Error(`the relay did not start on ${runtime}`);
}
