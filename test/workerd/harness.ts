import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { z } from "zod";
import { bundleWorker } from "./bundle.ts";
import { testedModule, type WorkerdSetup, workerdConfig } from "./config.ts";

export interface WorkerdOptions extends WorkerdSetup {
  /** The module with the worker and the classes of its objects. */
  readonly entry: string;
}

const programSchema = z.object({ default: z.string() });

/** The runtime of Workers, as npm installed it; undefined where it did not. */
function findWorkerd(): string | undefined {
  try {
    const path = programSchema.parse(createRequire(import.meta.url)("workerd")).default;
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

const program = findWorkerd();

/** For `test(..., { skip })`, and for the test's name, since not every runner shows a reason. Empty: nothing is missing. */
export const missingWorkerd = program === undefined ? "workerd is not installed" : "";

const listening = z.object({ event: z.literal("listen"), socket: z.string(), port: z.number() });
/** What is kept of what the process and its workers write, to be shown where something fails. */
const outputCharacters = 64 * 1024;

/**
 * A worker in a workerd of its own, with objects on disk. It listens on loopback, and comes back on the same port with
 * the same objects when it was killed and is started again.
 */
export class Workerd {
  /** Of the worker, without a slash at its end. */
  url = "";
  readonly #folder: string;
  readonly #setup: WorkerdSetup;
  #controlUrl = "";
  #child: ChildProcess | undefined;
  #output = "";

  private constructor(folder: string, setup: WorkerdSetup) {
    this.#folder = folder;
    this.#setup = setup;
  }

  static async start(options: WorkerdOptions): Promise<Workerd> {
    const folder = mkdtempSync(join(tmpdir(), "baton-workerd-"));
    writeFileSync(join(folder, "worker.mjs"), bundleWorker(options.entry));
    writeFileSync(join(folder, "tested.mjs"), testedModule);
    mkdirSync(join(folder, "objects"));
    const workerd = new Workerd(folder, options);
    workerd.#configure(options);
    await workerd.start();
    return workerd;
  }

  /** Where each object is a file of SQLite, in a folder named after its class. */
  get objectsFolder(): string {
    return join(this.#folder, "objects");
  }

  /** The last of what the process wrote, and what workers wrote to the console. */
  get output(): string {
    return this.#output;
  }

  /** After `kill`. */
  async start(): Promise<void> {
    if (program === undefined) throw new Error(missingWorkerd);
    const ports = this.url === "" ? [] : ["--socket-addr", `worker=${new URL(this.url).host}`];
    const args = [
      "serve",
      "--experimental",
      "--control-fd=3",
      ...ports,
      `--directory-path=objects=${this.objectsFolder}`,
    ];
    const child = spawn(program, [...args, join(this.#folder, "config.capnp")], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
    });
    this.#child = child;
    const kill = () => void child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.removeListener("exit", kill));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk) => {
        this.#output = (this.#output + String(chunk)).slice(-outputCharacters);
      });
    }
    await this.#listening(child);
  }

  #listening(child: ChildProcess): Promise<void> {
    const control = child.stdio[3];
    return new Promise((resolve, reject) => {
      child.once("exit", () => reject(new Error(`workerd did not start: ${this.#output}`)));
      child.once("error", reject);
      if (!(control instanceof Readable)) throw new Error("no pipe to workerd");
      const ports = new Map<string, number>();
      createInterface({ input: control }).on("line", (line) => {
        const said = listening.safeParse(JSON.parse(line));
        if (said.success) ports.set(said.data.socket, said.data.port);
        const [worker, own] = [ports.get("worker"), ports.get("control")];
        if (worker === undefined || own === undefined) return;
        this.url = `http://127.0.0.1:${worker}`;
        this.#controlUrl = `http://127.0.0.1:${own}`;
        resolve();
      });
    });
  }

  /**
   * Takes every object out of memory, once it is idle: its instance is gone, what it wrote and its hibernatable sockets
   * stay. An idle object that has such sockets goes by itself after 10 s, others after 70 s at the earliest.
   */
  async evict(): Promise<void> {
    await this.#ask("/evict");
  }

  /** Ends every object in the middle of what it does; its sockets close. */
  async abortObjects(): Promise<void> {
    await this.#ask("/abort");
  }

  async #ask(path: string): Promise<void> {
    const { ok, status } = await fetch(`${this.#controlUrl}${path}`);
    if (!ok) throw new Error(`workerd answered ${status}: ${this.#output}`);
  }

  /** The process is gone at once, in the middle of whatever it does. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    // A SIGTERM would wait for open streams.
    child.kill("SIGKILL");
    await gone;
  }

  /** @param variables instead of those it had */
  async restart(variables?: WorkerdSetup["variables"]): Promise<void> {
    await this.kill();
    if (variables !== undefined) this.#configure({ ...this.#setup, variables });
    await this.start();
  }

  #configure(setup: WorkerdSetup): void {
    writeFileSync(join(this.#folder, "config.capnp"), workerdConfig(setup));
  }

  /** Ends the process, and removes what its objects wrote. */
  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
