import process from "node:process";
import { Command, InvalidArgumentError } from "commander";
import { isScope, scopes } from "../auth/scopes.ts";
import { isSessionPattern } from "../auth/session-pattern.ts";
import { signDevelopmentToken } from "../auth/sign.ts";
import { requireConfig } from "./config.ts";
import { ConfigurationError } from "./configuration-error.ts";
import { requireDataFolder } from "./data-folder.ts";
import { dataDirOption, gather, ttlOption, withExample } from "./options.ts";
import { openKeys } from "./signing-keys.ts";

interface TokenOptions {
  readonly sub: string;
  readonly session: readonly string[];
  readonly scope: string;
  readonly ttl: number;
  readonly dataDir?: string;
}

/** Everything but session:admin. */
export const participantScope = "session:read session:edit session:comment session:custom";

/** `baton token`: a token on stdout and nothing else, for `$(...)`. */
export function createTokenCommand(): Command {
  const command = new Command("token")
    .description("print a token, signed with the configured secret or the development key")
    .requiredOption("--sub <user>", "whose token it is")
    .requiredOption("--session <pattern>", 'a session, or "team-a/*" or "*"; may be given again', gatherPattern)
    .option("--scope <scopes>", "what it allows, separated by spaces", parseScopeList, participantScope)
    .addOption(ttlOption("how long it is good for: 90s, 15m, 12h, 7d"))
    .addOption(dataDirOption())
    .action(runToken);
  return withExample(command, "npx baton token --sub alice --session demo --ttl 1h");
}

async function runToken({ sub, session, scope, ttl, dataDir }: TokenOptions): Promise<void> {
  const config = await requireConfig(process.env, { dataDir });
  if (config.key.kind === "development") await requireDataFolder(config.dataDir);
  const { secret } = await openKeys(config);
  if (secret === undefined) {
    throw new ConfigurationError(
      "BATON_JWT_PUBLIC_KEY: a public key checks tokens and cannot sign them; get one from whoever holds the private key",
    );
  }
  const { issuer, audience } = config;
  const claims = {
    sub,
    sessions: session,
    scope,
    ttlSeconds: ttl,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
  process.stdout.write(`${await signDevelopmentToken(secret, claims, Date.now())}\n`);
}

function gatherPattern(text: string, earlier: readonly string[] | undefined): readonly string[] {
  if (isSessionPattern(text)) return gather(text, earlier);
  throw new InvalidArgumentError("A session is an id, or the beginning of one and a final *.");
}

export function parseScopeList(text: string): string {
  const words = text.split(" ").filter((word) => word !== "");
  if (words.length > 0 && words.every(isScope)) return words.join(" ");
  throw new InvalidArgumentError(`Scopes are words of this list, separated by spaces: ${scopes.join(" ")}.`);
}
