import { InvalidArgumentError } from "commander";

const unitSeconds = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
]);

/** `90s`, `15m`, `12h`, `7d`, in seconds. */
export function parseDuration(text: string): number {
  const [, count = "", unit = ""] = /^([1-9][0-9]{0,5})([smhd])$/.exec(text) ?? [];
  const seconds = unitSeconds.get(unit);
  if (seconds === undefined) throw new InvalidArgumentError("A duration is a whole number and s, m, h or d: 15m.");
  return Number(count) * seconds;
}
