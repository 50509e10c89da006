import process from "node:process";
import { getLogger } from "@logtape/logtape";
import { StartError } from "./start-error.ts";

const logger = getLogger(["baton", "relay"]);

/** What Deno Deploy sets where it runs a program. */
export const isOnDeploy = process.env.DENO_DEPLOY !== undefined;

const oldestSound = [2, 9, 6];

/**
 * From 2.8.3 to 2.9.5 Deno holds back the rest of a request's body over HTTP/1.1 once the response has begun
 * (https://github.com/denoland/deno/issues/36624): full duplex stands still. What came before was not tried. Throws a
 * `StartError`, except on Deno Deploy, whose release is not the operator's to choose: there it logs, and clients find
 * out and take split carriage.
 */
export function assertCarriesStreams(version: string, onDeploy = isOnDeploy): void {
  if (compare(version.split("."), oldestSound) >= 0) return;
  const says = `Deno ${version} may hold back what a client sends on an open stream`;
  if (!onDeploy) throw new StartError(`${says}; run Deno ${oldestSound.join(".")} or later`);
  logger.warning(says);
}

function compare(version: readonly string[], other: readonly number[]): number {
  const index = other.findIndex((part, at) => part !== Number.parseInt(version[at] ?? "", 10));
  return index < 0 ? 0 : Number.parseInt(version[index] ?? "0", 10) - (other[index] ?? 0);
}
