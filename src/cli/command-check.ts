import process from "node:process";
import { Command } from "commander";
import { type Config, requireConfig } from "./config.ts";
import { limitNames, limitVariable } from "./limit-settings.ts";
import { withExample } from "./options.ts";

/** `baton check`: what is wrong with the configuration, all at once; or what is in force, without secrets. */
export function createCheckCommand(): Command {
  const command = new Command("check").description("say what is wrong with the configuration").action(async () => {
    process.stdout.write(describeConfig(await requireConfig(process.env)));
  });
  return withExample(command, "BATON_PORT=9000 npx baton check");
}

export function describeConfig(config: Config): string {
  const { host, port, grpcPort, tls, dataDir, log, key, issuer, audience, resumeSecret, logLevel, limits } = config;
  const given = (value: string | undefined) => value ?? "(not set)";
  const hidden = (isSet: boolean) => (isSet ? "(set)" : "(not set)");
  const lines: readonly (readonly [string, string | number])[] = [
    ["BATON_HOST", host],
    ["BATON_PORT", port],
    ["BATON_GRPC_PORT", grpcPort ?? "off"],
    ["BATON_TLS_CERT", given(tls?.certPath)],
    ["BATON_TLS_KEY", hidden(tls !== undefined)],
    ["BATON_DATA_DIR", dataDir],
    ["BATON_LOG", log],
    ["BATON_JWT_SECRET", hidden(key.kind === "secret")],
    [
      "BATON_JWT_PUBLIC_KEY",
      key.kind === "public" ? `(set: ${key.keys.flatMap(({ algorithms }) => algorithms).join(", ")})` : "(not set)",
    ],
    ["BATON_JWT_ISSUER", given(issuer)],
    ["BATON_JWT_AUDIENCE", given(audience)],
    ["BATON_RESUME_SECRET", hidden(resumeSecret !== undefined)],
    ["BATON_LOG_LEVEL", logLevel],
    ...limitNames.map((name) => [limitVariable(name), limits[name]] as const),
  ];
  const note = key.kind === "development" ? ["# No key is set: start makes a development key in the data folder."] : [];
  return [...lines.map(([name, value]) => `${name}=${value}`), ...note, ""].join("\n");
}
