import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { contractAudience, type OpenAudience, relayGreetings, spreadOver } from "../../src/cli/bench/audience.ts";
import { encodeSubscribe, readToken, subscribePath } from "../../src/cli/bench/calls.ts";

/** nghttp2's load generator, where it is installed. */
export function findH2load(): string | undefined {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "h2load"))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * The subscribers are h2load's, which reads in C and tells nothing before its end; one more is the bare client's, and
 * stands for them all: it sets the pace, and its messages are counted for each of them.
 */
export const h2loadAudience =
  (program: string): OpenAudience =>
  async (options) => {
    const folder = mkdtempSync(join(tmpdir(), "baton-bench-"));
    const data = join(folder, "subscribe");
    writeFileSync(data, encodeSubscribe());
    const [streams = 0] = spreadOver(options.subscribers, options.connections);
    const child = spawn(
      program,
      [
        ...["-n", String(options.subscribers), "-c", String(options.connections), "-m", String(streams), "-t", "1"],
        ...["-w", "30", "-W", "30", "-d", data],
        ...["-H", "content-type: application/connect+proto", "-H", "connect-protocol-version: 1"],
        ...["-H", `authorization: Bearer ${await readToken()}`],
        `http://127.0.0.1:${options.port}${subscribePath}`,
      ],
      { stdio: "ignore" },
    );
    const kill = () => void child.kill();
    process.once("exit", kill);
    child.once("exit", () => {
      process.removeListener("exit", kill);
      rmSync(folder, { recursive: true, force: true });
    });
    // It tells nothing of its joins. Whoever joins late has fewer messages, so the first ones are not measured.
    const probe = await contractAudience(relayGreetings)({ ...options, subscribers: 1, connections: 1 });
    const { tally } = probe;
    const times = options.subscribers + 1;
    return {
      ...probe,
      tally: {
        get messages() {
          return tally.messages * times;
        },
        get bytes() {
          return tally.bytes * times;
        },
        get writes() {
          return tally.writes * times;
        },
      },
      subscribers: times,
      close() {
        probe.close();
        kill();
      },
    };
  };
