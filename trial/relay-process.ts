import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { runtimes } from "../test/support/runtimes.ts";

const flags = { bun: [], node: [], deno: ["run", "--quiet", "--allow-all"] } as const;

/** Rates are raised, since the trial types a thousand times as fast as a person. */
export const raisedLimits = { BATON_LIMIT_MESSAGES_PER_SECOND: "100000", BATON_LIMIT_MESSAGES_BURST: "100000" };

/** A relay in a process of its own, on one port and one data folder for all its lives. */
export class RelayProcess {
  readonly url: string;
  readonly #runtime: keyof typeof runtimes;
  readonly #environment: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  #logged = "";

  constructor(
    runtime: keyof typeof runtimes,
    port: number,
    dataDir: string,
    secret: string,
    environment: Readonly<Record<string, string>> = {},
  ) {
    this.url = `http://127.0.0.1:${port}`;
    this.#runtime = runtime;
    this.#environment = {
      ...process.env,
      ...raisedLimits,
      BATON_RUNTIME: runtime,
      BATON_PORT: String(port),
      BATON_GRPC_PORT: "off",
      BATON_DATA_DIR: dataDir,
      BATON_JWT_SECRET: secret,
      BATON_LOG_LEVEL: "warning",
      ...environment,
    };
  }

  async start(): Promise<void> {
    const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
    // Without the launcher, so that a kill is the relay's own.
    this.#child = spawn(runtimes[this.#runtime], [...flags[this.#runtime], main, "start"], {
      env: this.#environment,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#logged += chunk;
      process.stderr.write(chunk);
    });
    for (let tries = 0; tries < 200; tries++) {
      if (this.#child.exitCode !== null) throw new Error(`the relay ended with ${this.#child.exitCode}`);
      const ready = await fetch(`${this.url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (ready) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error("the relay was not ready within 10 s");
  }

  /** How often it has said this in its log, in all its lives. */
  countLogged(message: string): number {
    return this.#logged.split(JSON.stringify({ message }).slice(1, -1)).length - 1;
  }

  /** SIGSTOP, and on again: as a machine does that is paused, or has no time for it. */
  async pauseFor(ms: number): Promise<void> {
    this.#child?.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#child?.kill("SIGCONT");
  }

  /** SIGKILL: nothing is flushed, nothing is said. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    await ended;
  }
}

export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject()));
    });
  });
}
