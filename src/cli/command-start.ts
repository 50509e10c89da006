import process from "node:process";
import { Command, Option } from "commander";
import { signDevelopmentToken } from "../auth/sign.ts";
import { type StartedRelay, startRelay } from "../runtime/start-relay.ts";
import { readVersion } from "../runtime/version.ts";
import { participantScope } from "./command-token.ts";
import { type Config, type ConfigFlags, requireConfig } from "./config.ts";
import { openDataFolder } from "./data-folder.ts";
import { describeStart } from "./greeting.ts";
import { helloSession, writeHelloRequest } from "./hello-request.ts";
import { configureLogging } from "./logging.ts";
import { dataDirOption, withExample } from "./options.ts";
import { runUntilStopped } from "./run-until-stopped.ts";
import { openKeys, type RelayKeys } from "./signing-keys.ts";
import { configuredClaims } from "./token-key.ts";
import { readTracing, startTracing } from "./tracing.ts";

const greetingTtlSeconds = 60 * 60;

/** `baton start`: the relay, until a signal stops it. */
export function createStartCommand(): Command {
  const command = new Command("start")
    .description("start the relay")
    .addOption(new Option("--host <address>", "where to listen (BATON_HOST, 127.0.0.1)"))
    .addOption(new Option("--port <port>", "0: any free one (BATON_PORT, 8080)"))
    .addOption(new Option("--grpc-port <port>", "of native gRPC; 0: any free one, or off (BATON_GRPC_PORT, 8081)"))
    .addOption(dataDirOption())
    .addOption(new Option("--log <engine>", "sqlite, memory, redis or upstash (BATON_LOG, sqlite)"))
    .action(runStart);
  return withExample(command, "start --port 9000 --data-dir /var/lib/baton");
}

async function runStart(flags: ConfigFlags): Promise<void> {
  const config = await requireConfig(process.env, flags);
  // What the relay writes is its user's alone, also in a folder that was there before.
  process.umask(0o077);
  await configureLogging(config.logLevel);
  const hasFolder = needsDataFolder(config);
  if (hasFolder) await openDataFolder(config.dataDir);
  const keys = await openKeys(config);
  const helloFile = hasFolder ? await writeHelloRequest(config.dataDir) : undefined;
  const tracing = readTracing(process.env);
  const endTracing = tracing && (await startTracing(tracing));
  const relay = await startRelay({ ...config, keys: keys.keys });
  const stopped = runUntilStopped(async () => {
    await relay.close();
    await endTracing?.();
  }, config.limits.drainMs);
  await greet(config, keys, { relay, helloFile });
  process.exit(await stopped);
}

/** Where the log is elsewhere and so is the key, nothing has to be written here. */
const needsDataFolder = ({ log, key }: Config) => typeof log === "string" || key.kind === "development";

async function greet(
  config: Config,
  { kind, secret }: RelayKeys,
  { relay, helloFile }: { readonly relay: StartedRelay; readonly helloFile: string | undefined },
): Promise<void> {
  const token =
    kind === "development" && secret !== undefined
      ? await signDevelopmentToken(secret, greetingClaims(config), Date.now())
      : undefined;
  process.stdout.write(describeStart({ version: readVersion(), relay, config, token, helloFile }));
}

const greetingClaims = (config: Config) => ({
  sub: "alice",
  sessions: [helloSession],
  scope: participantScope,
  ttlSeconds: greetingTtlSeconds,
  ...configuredClaims(config),
});
