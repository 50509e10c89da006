import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export type Runtime = "bun" | "node" | "deno";

export interface Relay {
  readonly url: string;
  /** Where native gRPC is served. */
  readonly grpcUrl: string;
  stop(): Promise<void>;
}

const launcher = fileURLToPath(new URL("../bin/baton.mjs", import.meta.url));

/** A relay as an operator starts it, in a process of its own, on free ports. */
export async function startRelay(runtime: Runtime, dataDir: string, secret: string): Promise<Relay> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^_?BATON_/.test(name));
  const child = spawn("node", [launcher, "start", "--port", "0", "--data-dir", dataDir], {
    env: {
      ...Object.fromEntries(inherited),
      BATON_JWT_SECRET: secret,
      BATON_GRPC_PORT: "0",
      BATON_RUNTIME: runtime,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const { url, grpcUrl } = await listening(child);
  return {
    url,
    grpcUrl: grpcUrl ?? url,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Where its log says that it listens. What it logs behind that goes nowhere. */
async function listening(child: ChildProcess): Promise<{ url: string; grpcUrl?: string }> {
  let written = "";
  return await new Promise((resolve, reject) => {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      written += text;
      const line = written.split("\n").find((one) => one.includes('"message":"listening"') && one.endsWith("}"));
      if (line !== undefined) resolve(JSON.parse(line));
    });
    child.once("exit", (code) => reject(new Error(`the relay ended with ${code}:\n${written}`)));
  });
}
