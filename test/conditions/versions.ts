import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { freePort, Piped } from "../cli/live.ts";
import { runtimes } from "../support/runtimes.ts";

const repository = resolve(import.meta.dirname, "../..");

/** The last commit before a session could be open on more than one instance, or in a Durable Object. */
const oldCommit = "cd8badb52f806ee4bc40a24903e650fd864ee6ba";

const isThere = (() => {
  try {
    execFileSync("git", ["cat-file", "-e", `${oldCommit}^{commit}`], { cwd: repository, stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

/** Why there is no older version to test with; empty: there is one. */
export const withoutOldVersion = isThere ? "" : "skipped: the older version is not in this clone's history";

export type Version = "old" | "new";

/** Both versions' sources, and the programs that run them. */
export function createVersions() {
  const folder = mkdtempSync(join(tmpdir(), "baton-versions-"));
  const old = join(folder, "old");
  const programs = new Set<Piped>();
  const archive = execFileSync("git", ["archive", "--prefix=old/", oldCommit], {
    cwd: repository,
    maxBuffer: 256 * 1024 * 1024,
  });
  execFileSync("tar", ["-x", "-C", folder], { input: archive });
  symlinkSync(join(repository, "node_modules"), join(old, "node_modules"));

  const run = (version: Version, args: readonly string[]): Piped => {
    const root = version === "old" ? old : repository;
    const inherited = Object.entries(process.env).filter(([name]) => !/^_?BATON_/.test(name));
    // Without the launcher, so that a kill is the program's own.
    const child = spawn(runtimes.bun, [join(root, "src/cli/main.ts"), ...args], {
      cwd: root,
      env: { ...Object.fromEntries(inherited), BATON_GRPC_PORT: "off", BATON_LIMIT_DRAIN_MS: "500" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const program = new Piped(child);
    programs.add(program);
    void program.exit.then(() => programs.delete(program));
    return program;
  };

  return {
    /** One port and one data folder, whichever version runs there. */
    async place() {
      const port = await freePort();
      const dataDir = mkdtempSync(join(folder, "data-"));
      const url = `http://127.0.0.1:${port}`;
      return {
        url,
        async start(version: Version): Promise<Piped> {
          const relay = run(version, ["start", "--port", String(port), "--data-dir", dataDir]);
          await relay.wait(() => /^curl /m.exec(relay.stdout) ?? undefined);
          return relay;
        },
        token: (args: readonly string[]): Piped => run("new", ["token", "--data-dir", dataDir, ...args]),
        /** A command of the client's, against this place. */
        baton: (version: Version, [command = "", ...args]: readonly string[]): Piped =>
          run(version, [command, "--url", url, "--data-dir", dataDir, ...args]),
      };
    },
    async clean(): Promise<void> {
      for (const { child } of programs) child.kill("SIGKILL");
      await Promise.all([...programs].map(({ exit }) => exit));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function end({ child, exit }: Piped, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  child.kill(signal);
  await exit;
}
