import { type Command, InvalidArgumentError, Option } from "commander";
import { sessionIdPattern } from "../session/limits.ts";
import { parseDuration } from "./durations.ts";
import { ownName } from "./own-name.ts";

/** Flags that stand before the environment's BATON_DATA_DIR. */
export const dataDirOption = () =>
  new Option("--data-dir <path>", "folder of the log and the development key (BATON_DATA_DIR)");

const defaultTtlSeconds = 15 * 60;

export const ttlOption = (says: string) =>
  new Option("--ttl <duration>", says).argParser(parseDuration).default(defaultTtlSeconds, "15m");

/** Where `start` listens when nothing else is said. */
export const defaultUrl = "http://127.0.0.1:8080";

/** For options that may be given several times. */
export const gather = (value: string, earlier: readonly string[] | undefined): readonly string[] => [
  ...(earlier ?? []),
  value,
];

export function parseSessionId(text: string): string {
  if (sessionIdPattern.test(text)) return text;
  throw new InvalidArgumentError("A session id matches [A-Za-z0-9][A-Za-z0-9._/-]{0,127} and has no '..'.");
}

export function parseUrl(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "") return url.origin;
  throw new InvalidArgumentError("A URL begins with http:// or https:// and holds no credentials.");
}

export function parseSeq(text: string): number {
  const seq = Number(text);
  if (/^[0-9]{1,16}$/.test(text) && Number.isSafeInteger(seq)) return seq;
  throw new InvalidArgumentError("A place in the log is a whole number.");
}

/** Each command shows how it is used, at the end of its help. The examples are what stands behind the program's name. */
export const withExample = (command: Command, ...examples: readonly string[]) =>
  command.addHelpText("after", `\nExample:${examples.map((example) => `\n  ${ownName} ${example}`).join("")}`);

/** A client of the terminal says who it is, once. A mistake is one of the command line: told as commander tells them. */
export function requireIdentity(command: Command, { sub, token }: { readonly sub?: string; readonly token?: string }) {
  if (sub === undefined && token === undefined) {
    command.error("error: who are you? Give --sub <user> (a token is signed with the relay's key), or --token <jwt>");
  }
  if (sub !== undefined && token !== undefined) {
    command.error("error: give --sub or --token, not both: a token says itself whose it is");
  }
}
