import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

const repository = resolve(import.meta.dirname, "../..");
const launcher = join(repository, "bin/baton.mjs");

export type Line = Readonly<Record<string, unknown>>;

/** A `baton` with a pipe at each end, and the JSON lines that it printed. */
export class Piped {
  readonly lines: Line[] = [];
  stdout = "";
  stderr = "";
  readonly child: ChildProcessWithoutNullStreams;
  readonly exit: Promise<number | null>;
  #isOver = false;
  readonly #waiting = new Set<() => void>();

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      const pieces = (rest + text).split("\n");
      rest = pieces.pop() ?? "";
      for (const piece of pieces) if (piece.startsWith("{")) this.lines.push(JSON.parse(piece));
      this.#wake();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    child.stdin.on("error", () => undefined);
    this.exit = new Promise((settle) => {
      child.on("close", (code) => {
        this.#isOver = true;
        settle(code);
        this.#wake();
      });
    });
  }

  say(...lines: readonly object[]): void {
    for (const line of lines) this.child.stdin.write(`${JSON.stringify(line)}\n`);
  }

  events(event: string): readonly Line[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** The first of these lines, from the `from`th line on, as soon as it is there. */
  line(accept: (line: Line) => boolean, from = 0): Promise<Line> {
    return this.wait(() => this.lines.slice(from).find(accept));
  }

  event(event: string, accept: (line: Line) => boolean = () => true): Promise<Line> {
    return this.line((line) => line.event === event && accept(line));
  }

  /** Resolves with what is found once it is there. Rejects when the program ends without. */
  wait<T>(find: () => T | undefined): Promise<T> {
    return new Promise((found, missed) => {
      const look = () => {
        const value = find();
        if (value !== undefined) found(value);
        else if (this.#isOver) missed(new Error(`it ended without:\n${this.stdout.slice(-2_000)}${this.stderr}`));
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** What it shows of a file, once it shows this, or the log has all that it did. */
  async shows(path: string, text?: string): Promise<Line> {
    for (;;) {
      const from = this.lines.length;
      this.say({ show: path });
      const shown = await this.line((line) => line.event === "show" && line.path === path, from);
      if (text === undefined ? shown.settled === true : shown.text === text) return shown;
    }
  }

  async leave(): Promise<number | null> {
    this.child.stdin.end();
    return this.exit;
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

export interface LiveRelay {
  readonly url: string;
  readonly dataDir: string;
  /** As a power cut does. */
  kill(): Promise<void>;
  /** Again, with the same folder and port. */
  restart(): Promise<void>;
  /** A client of it: `baton(["join", "demo", "--sub", "alice"])`. */
  baton(args: readonly string[]): Piped;
}

/** Relays and clients of one test file; `clean` leaves none of them. */
export function createLiveBench() {
  const programs = new Set<Piped>();
  const folders: string[] = [];

  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Piped => {
    const inherited = Object.entries(process.env).filter(([name]) => !/^_?BATON_/.test(name));
    // A process group of its own, so that the launcher and what it runs can be killed at one blow.
    const child = spawn("node", [launcher, ...args], {
      cwd: repository,
      env: { ...Object.fromEntries(inherited), BATON_GRPC_PORT: "off", ...env },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    const program = new Piped(child);
    programs.add(program);
    void program.exit.then(() => programs.delete(program));
    return program;
  };

  const killGroup = async ({ child, exit }: Piped): Promise<void> => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, "SIGKILL");
    }
    await exit;
  };

  return {
    baton: run,
    async relay(env: Readonly<Record<string, string>> = {}): Promise<LiveRelay> {
      const folder = mkdtempSync(join(tmpdir(), "baton-live-"));
      folders.push(folder);
      const dataDir = join(folder, "data");
      const port = await freePort();
      const start = async () => {
        const relay = run(["start", "--port", String(port), "--data-dir", dataDir], env);
        await relay.wait(() => /^curl /m.exec(relay.stdout) ?? undefined);
        return relay;
      };
      let running = await start();
      const url = `http://127.0.0.1:${port}`;
      return {
        url,
        dataDir,
        kill: () => killGroup(running),
        async restart() {
          running = await start();
        },
        baton: ([command = "", ...args]) => run([command, "--url", url, "--data-dir", dataDir, ...args]),
      };
    },
    async clean(): Promise<void> {
      await Promise.all([...programs].map(killGroup));
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One that was free a moment ago: a relay that is started again needs the same. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
