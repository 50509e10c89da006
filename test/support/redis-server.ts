// A real Redis for tests: `redis-server`, or `valkey-server`, from PATH.
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { describe } from "node:test";

const program = ["redis-server", "valkey-server"]
  .flatMap((name) => (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Why tests that need a Redis are skipped on this machine; undefined: they run. */
export const withoutRedis =
  program === undefined
    ? "skipped: there is no redis-server in PATH; Debian has it: apt-get install redis-server"
    : undefined;

/** Tests that need a Redis. Where there is none they are skipped, and their name says what to install. */
export function describeWithRedis(name: string, body: () => void): void {
  if (withoutRedis === undefined) describe(name, body);
  else describe(`${name} (${withoutRedis})`, { skip: true }, body);
}

export interface TestRedis {
  readonly port: number;
  /** Without user and password. */
  readonly url: string;
  /** Lets it run again, on the same port, with what it kept. */
  start(): Promise<void>;
  /** As `kill -9` does: nothing is saved that was not. */
  kill(): Promise<void>;
  /** Ends it for good, and removes what it kept. */
  dispose(): Promise<void>;
}

/** Everything that was acked is in the append-only file, and nothing is ever thrown out. */
const defaults = {
  bind: "127.0.0.1",
  save: "",
  appendonly: "yes",
  appendfsync: "always",
  "maxmemory-policy": "noeviction",
};

const attempts = 5;

/** Starts one on a free port of this machine, with a folder of its own. `settings` are lines of its `redis.conf`. */
export async function startRedis(settings: Readonly<Record<string, string>> = {}): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), "baton-redis-"));
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort();
    try {
      return await startOn(port, folder, { ...defaults, ...settings });
    } catch (error) {
      // Somebody else may have taken the port meanwhile.
      if (attempt < attempts) continue;
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }
}

async function startOn(port: number, folder: string, settings: Readonly<Record<string, string>>): Promise<TestRedis> {
  const flags = Object.entries({ ...settings, port: String(port), dir: folder });
  const args = flags.flatMap(([name, value]) => [`--${name}`, value]);
  let running: ChildProcess | undefined;
  const endWithThisProcess = () => void running?.kill("SIGKILL");
  process.on("exit", endWithThisProcess);
  const kill = async () => {
    const ending = running;
    running = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    await new Promise((resolve) => {
      ending.once("exit", resolve);
      ending.kill("SIGKILL");
    });
  };
  const start = async () => {
    await kill();
    running = await spawnReady(args);
  };
  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    start,
    kill,
    async dispose() {
      await kill();
      process.off("exit", endWithThisProcess);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves once it takes connections. */
function spawnReady(args: readonly string[]): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(program ?? "redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
    let said = "";
    child.stdout.on("data", (bytes: Buffer) => {
      said = `${said}${bytes.toString()}`.slice(-4_000);
      if (said.includes("Ready to accept connections")) resolve(child);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)));
  });
}

async function findFreePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
