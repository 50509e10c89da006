import type { StartedRelay } from "../runtime/start-relay.ts";
import { carriesNativeGrpc, runtimeTitle } from "../runtime/this-runtime.ts";
import { assertNever } from "../session/reasons.ts";
import type { Config } from "./config.ts";
import { devKeyPath } from "./dev-key.ts";
import { helloSession } from "./hello-request.ts";
import { reachableUrl } from "./hosts.ts";
import { describeLog } from "./log-settings.ts";
import { ownName } from "./own-name.ts";

export interface Greeting {
  readonly version: string;
  readonly relay: Pick<StartedRelay, "url" | "grpcUrl">;
  readonly config: Config;
  /** Undefined with a configured key: its tokens are not the terminal's to show. */
  readonly token: string | undefined;
  /** Undefined: nothing is written to the disk. */
  readonly helloFile: string | undefined;
}

/** What `start` prints for people, ready to be pasted. */
export function describeStart({ version, relay: { url, grpcUrl }, config, token, helloFile }: Greeting): string {
  const { log, tls } = config;
  return [
    `Baton ${version} listens on ${url}`,
    `Native gRPC: ${grpcUrl ?? (carriesNativeGrpc ? "off" : `none on ${runtimeTitle}`)}`,
    `Data folder: ${helloFile === undefined ? "none" : config.dataDir} (log: ${describeLog(log)}; ${runtimeTitle})`,
    ...describeKey(config, token),
    ...(helloFile === undefined
      ? []
      : [
          `Watch the session "${helloSession}" (Ctrl-C ends it):`,
          curlLine({ url: reachableUrl(url), token, helloFile, certPath: tls?.certPath }),
        ]),
    "",
  ].join("\n");
}

function describeKey({ key, dataDir }: Config, token: string | undefined): readonly string[] {
  switch (key.kind) {
    case "development":
      return [
        `Key: a development key, ${devKeyPath(dataDir)}; set a key of your own before others come`,
        `A token for alice, good for an hour (another: ${ownName} token --sub alice --session ${helloSession}):`,
        ...(token === undefined ? [] : [token]),
      ];
    case "secret":
      return [
        "Key: BATON_JWT_SECRET (HS256)",
        `A token for the line below: TOKEN="$(${ownName} token --sub alice --session ${helloSession})"`,
      ];
    case "public":
      return [
        "Key: BATON_JWT_PUBLIC_KEY",
        "A token for the line below comes from whoever holds the private key: TOKEN=...",
      ];
    case "jwks":
      return [
        `Key: the key set of ${key.url.host} (BATON_JWKS_URL)`,
        "A token for the line below comes from that issuer: TOKEN=...",
      ];
    default:
      return assertNever(key);
  }
}

export interface CurlCall {
  readonly url: string;
  readonly token: string | undefined;
  readonly helloFile: string;
  /** The relay's own certificate, for curl to trust, since nobody else may vouch for it; undefined: cleartext. */
  readonly certPath: string | undefined;
}

/** One line for sh that subscribes and prints what comes. */
export function curlLine({ url, token, helloFile, certPath }: CurlCall): string {
  return [
    "curl -sSN -o -",
    ...(certPath === undefined ? [] : [`--cacert ${quoteForShell(certPath)}`]),
    "-H 'Content-Type: application/connect+json'",
    token === undefined ? '-H "Authorization: Bearer $TOKEN"' : `-H 'Authorization: Bearer ${token}'`,
    `--data-binary ${quoteForShell(`@${helloFile}`)}`,
    quoteForShell(`${url}/codereview.v1.CodeReviewService/Subscribe`),
  ].join(" ");
}

/** One word of sh, whatever is in it. */
export const quoteForShell = (word: string) =>
  /^[A-Za-z0-9@%+=:,./_-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
