import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

export const repository = resolve(import.meta.dirname, "../..");
export const launcher = join(repository, "bin/baton.mjs");

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** A process group of its own, as a terminal gives to each command. */
  readonly ownGroup?: boolean;
}

/** A program as a person runs it, with all that it prints. */
export class Run {
  stdout = "";
  stderr = "";
  readonly child: ChildProcess;
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly #waiting = new Set<() => void>();

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#ring();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#ring();
    });
    this.exit = new Promise((settle) => {
      child.on("close", (code, signal) => {
        settle({ code, signal });
        this.#ring();
      });
    });
  }

  /** The first match in what was printed on stdout, as soon as it is there. Rejects when the program ends without. */
  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#wait(() => pattern.exec(this.stdout), `${pattern} on stdout`);
  }

  /** The same on stderr. */
  told(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#wait(() => pattern.exec(this.stderr), `${pattern} on stderr`);
  }

  logged(message: string): Promise<true> {
    return this.#wait(() => (this.logs.some((line) => line.message === message) ? true : null), `"${message}" logged`);
  }

  /** The log lines on stderr that are complete. */
  get logs(): readonly Record<string, unknown>[] {
    const whole = this.stderr.slice(0, this.stderr.lastIndexOf("\n") + 1);
    return whole
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line): Record<string, unknown> => JSON.parse(line));
  }

  #ring(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  #wait<T>(find: () => T | null, what: string): Promise<T> {
    return new Promise((found, missed) => {
      const look = () => {
        const value = find();
        if (value !== null) found(value);
        else if (this.child.exitCode !== null || this.child.signalCode !== null) {
          missed(new Error(`ended without ${what}:\n${this.stdout}${this.stderr}`));
        } else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }
}

/** Programs and folders of one test file; `clean` leaves none of them. */
export function createBench() {
  const folders: string[] = [];
  const runs: Run[] = [];

  const run = (command: string, args: readonly string[], { env = {}, cwd, ownGroup = false }: RunOptions = {}): Run => {
    const inherited = Object.entries(process.env).filter(([name]) => !/^_?BATON_/.test(name));
    const child = spawn(command, args, {
      cwd: cwd ?? repository,
      // Its own port of native gRPC, since many relays run at once.
      env: { ...Object.fromEntries(inherited), BATON_GRPC_PORT: "0", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: ownGroup,
    });
    const started = new Run(child);
    runs.push(started);
    return started;
  };

  return {
    run,
    /** `baton`, through its launcher, on Node. */
    baton: (args: readonly string[], options?: RunOptions) => run("node", [launcher, ...args], options),
    folder(): string {
      const path = mkdtempSync(join(tmpdir(), "baton-cli-"));
      folders.push(path);
      return path;
    },
    async clean(): Promise<void> {
      for (const { child } of runs) {
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      }
      await Promise.all(runs.map(({ exit }) => exit));
      for (const path of folders) rmSync(path, { recursive: true, force: true });
    },
  };
}
