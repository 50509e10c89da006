import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { type Question, readySchema, type Usage, usageSchema } from "./side-channel.ts";

/** A server in its own process, so that its CPU time and memory are its alone. */
export class MeasuredProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  /** Those who wait for a line, in the order in which they asked. */
  readonly #waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void }[] = [];
  port = 0;
  /** Of native gRPC. */
  grpcPort = 0;

  private constructor(command: string, args: readonly string[]) {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    const kill = () => void child.kill();
    process.once("exit", kill);
    this.#exited = new Promise((resolve) => child.once("exit", () => resolve()));
    void this.#exited.then(() => process.removeListener("exit", kill));
    const fail = () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`a server ended: ${args.join(" ")}`));
    };
    child.on("error", fail).on("exit", fail);
    child.stdin.on("error", fail);
    createInterface({ input: child.stdout }).on("line", (line) => this.#waiting.shift()?.resolve(line));
  }

  static async start(command: string, args: readonly string[]): Promise<MeasuredProcess> {
    const server = new MeasuredProcess(command, args);
    const ready = readySchema.parse(JSON.parse(await server.#line()));
    server.port = ready.port;
    server.grpcPort = ready.grpcPort ?? ready.port;
    return server;
  }

  async usage(question: Question = "usage"): Promise<Usage> {
    const answer = this.#line();
    this.#child.stdin?.write(`${question}\n`);
    return usageSchema.parse(JSON.parse(await answer));
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#exited;
  }

  #line(): Promise<string> {
    return new Promise((resolve, reject) => void this.#waiting.push({ resolve, reject }));
  }
}
