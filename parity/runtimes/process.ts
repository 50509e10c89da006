import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, RelayProcess } from "../../trial/relay-process.ts";
import type { RunningRelay } from "./runtime.ts";

/** A relay as an operator starts it, with SQLite. */
export async function startProcess(
  runtime: ConstructorParameters<typeof RelayProcess>[0],
  secret: string,
  environment: Readonly<Record<string, string>>,
): Promise<RunningRelay> {
  const dataDir = mkdtempSync(join(tmpdir(), "baton-parity-"));
  const { relay, grpcPort } = await startOnFreePorts(runtime, dataDir, secret, environment);
  return {
    url: relay.url,
    grpcUrl: `http://127.0.0.1:${grpcPort}`,
    httpVersion: "2",
    stop: () => relay.stop(),
    kill: () => relay.kill(),
    start: () => relay.start(),
    async close() {
      await relay.kill();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** A port that was free a moment ago may have been taken by somebody else since. */
const tries = 3;

async function startOnFreePorts(
  runtime: ConstructorParameters<typeof RelayProcess>[0],
  dataDir: string,
  secret: string,
  environment: Readonly<Record<string, string>>,
) {
  for (let attempt = 1; ; attempt++) {
    const grpcPort = await freePort();
    const relay = new RelayProcess(runtime, await freePort(), dataDir, secret, {
      ...environment,
      BATON_GRPC_PORT: String(grpcPort),
      BATON_LOG_LEVEL: "error",
    });
    try {
      await relay.start();
      return { relay, grpcPort };
    } catch (error) {
      await relay.kill();
      if (attempt === tries) throw error;
    }
  }
}
