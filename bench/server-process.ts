import process from "node:process";
import { readySchema, type Usage, usageSchema } from "./servers/side-channel.ts";

export type ServerKind = "relay" | "stock" | "floor";

/** A server in its own process, so that its CPU time and memory are its alone. */
export class ServerProcess {
  readonly port: number;
  readonly #sideUrl: string;
  readonly #child: Bun.Subprocess;

  private constructor(child: Bun.Subprocess, port: number, sidePort: number) {
    this.#child = child;
    this.port = port;
    this.#sideUrl = `http://127.0.0.1:${sidePort}`;
  }

  /** `log`: "memory", or the path of a SQLite file; only the relay has one. */
  static async start(kind: ServerKind, log = "memory"): Promise<ServerProcess> {
    const script = new URL(`servers/${kind}.ts`, import.meta.url).pathname;
    // To look into a server: BENCH_SERVER_FLAGS="--cpu-prof-md --cpu-prof-dir=/tmp/profile".
    const flags = process.env.BENCH_SERVER_FLAGS?.split(" ") ?? [];
    const child = Bun.spawn([process.execPath, ...flags, script, log], {
      stdout: "pipe",
      stderr: "inherit",
      stdin: "ignore",
    });
    const kill = () => child.kill();
    process.once("exit", kill);
    void child.exited.then(() => process.removeListener("exit", kill));
    let said = "";
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      said += decoder.decode(chunk, { stream: true });
      const end = said.indexOf("\n");
      if (end === -1) continue;
      const { port, sidePort } = readySchema.parse(JSON.parse(said.slice(0, end)));
      return new ServerProcess(child, port, sidePort);
    }
    throw new Error(`the ${kind} server did not start`);
  }

  async usage(): Promise<Usage> {
    return await this.#ask("/");
  }

  /** After a full garbage collection. */
  async usageWhenCollected(): Promise<Usage> {
    return await this.#ask("/collect");
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.exited;
  }

  async #ask(path: string): Promise<Usage> {
    const response = await fetch(this.#sideUrl + path);
    return usageSchema.parse(await response.json());
  }
}
