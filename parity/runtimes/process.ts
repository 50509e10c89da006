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
  const grpcPort = await freePort();
  const relay = new RelayProcess(runtime, await freePort(), dataDir, secret, {
    ...environment,
    BATON_GRPC_PORT: String(grpcPort),
    BATON_LOG_LEVEL: "error",
  });
  await relay.start();
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
