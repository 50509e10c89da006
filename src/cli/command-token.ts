import process from "node:process";
import { Command, InvalidArgumentError, Option } from "commander";
import { signingAlgorithms } from "../auth/key-signing.ts";
import { isScope, scopes } from "../auth/scopes.ts";
import { isSessionPattern } from "../auth/session-pattern.ts";
import { signDevelopmentToken } from "../auth/sign.ts";
import { requireConfig } from "./config.ts";
import { dataDirOption, gather, ttlOption, withExample } from "./options.ts";
import { configuredClaims, openTokenKey, type TokenKeyOptions } from "./token-key.ts";

interface TokenOptions extends TokenKeyOptions {
  readonly sub: string;
  readonly session: readonly string[];
  readonly scope: string;
  readonly ttl: number;
  readonly kid?: string;
  readonly dataDir?: string;
}

/** Everything but session:admin. */
export const participantScope = "session:read session:edit session:comment session:custom";

/** `baton token`: a token on stdout and nothing else, for `$(...)`. */
export function createTokenCommand(): Command {
  const command = new Command("token")
    .description("print a token, signed with a private key, the configured secret, or the development key")
    .requiredOption("--sub <user>", "whose token it is")
    .requiredOption("--session <pattern>", 'a session, or "team-a/*" or "*"; may be given again', gatherPattern)
    .option("--scope <scopes>", "what it allows, separated by spaces", parseScopeList, participantScope)
    .addOption(ttlOption("how long it is good for: 90s, 15m, 12h, 7d"))
    .option("--key <file>", "sign with this private key: PKCS #8, as PEM")
    .addOption(new Option("--alg <algorithm>", "which way an RSA key signs; RS256").choices(signingAlgorithms))
    .option("--kid <id>", "the key's name in the key set")
    .addOption(dataDirOption())
    .action(runToken);
  return withExample(
    command,
    "token --sub alice --session demo --ttl 1h",
    "token --sub alice --session demo --key private.pem --kid 2026-01",
  );
}

async function runToken(options: TokenOptions): Promise<void> {
  const { sub, session, scope, ttl, kid, dataDir } = options;
  const config = await requireConfig(process.env, { dataDir });
  const claims = {
    sub,
    sessions: session,
    scope,
    ttlSeconds: ttl,
    ...configuredClaims(config),
    ...(kid === undefined ? {} : { keyId: kid }),
  };
  process.stdout.write(`${await signDevelopmentToken(await openTokenKey(config, options), claims, Date.now())}\n`);
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
