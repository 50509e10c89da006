// The program for Deno Deploy; nothing imports it. It has no arguments, no terminal and no disk that lasts.
import process from "node:process";
import { startRelay } from "../runtime/start-relay.ts";
import { requireConfig } from "./config.ts";
import { describeFailure } from "./describe-failure.ts";
import { configureLogging } from "./logging.ts";
import { runUntilStopped } from "./run-until-stopped.ts";
import { openKeys } from "./signing-keys.ts";
import { readTracing, startTracing } from "./tracing.ts";

/** What the platform decides: it listens itself, on addresses of its own, and hands on no native gRPC. */
const platform = { BATON_HOST: "0.0.0.0", BATON_GRPC_PORT: "off" };

async function run(): Promise<number> {
  const config = await requireConfig({ ...process.env, ...platform });
  await configureLogging(config.logLevel);
  const keys = await openKeys(config);
  const tracing = readTracing(process.env);
  const endTracing = tracing && (await startTracing(tracing));
  const relay = await startRelay({ ...config, keys: keys.keys });
  return await runUntilStopped(async () => {
    await relay.close();
    await endTracing?.();
  }, config.limits.drainMs);
}

function fail(error: unknown): never {
  const { message, exitCode } = describeFailure(error);
  process.stderr.write(`${message}\n`);
  process.exit(exitCode);
}

process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
run().then((code) => process.exit(code), fail);
