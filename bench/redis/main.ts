import { withoutRedis } from "../../test/support/redis-server.ts";
import type { BenchOptions, Row } from "../row.ts";
import * as acks from "./acks.ts";
import * as appends from "./appends.ts";
import * as contention from "./contention.ts";
import * as idle from "./idle.ts";

/** In the order in which they are printed; `--only` takes those with its text in their name. */
const measures = [
  { name: "appends", rows: appends.rows },
  { name: "acks", rows: acks.rows },
  { name: "contention", rows: contention.rows },
  { name: "idle", rows: idle.rows },
];

/** What a relay does whose log is on a Redis of this machine, alone and beside others. */
export async function rows(options: BenchOptions): Promise<readonly Row[]> {
  if (withoutRedis !== undefined) return [{ name: "Redis", value: undefined, unit: "", note: withoutRedis }];
  const all: Row[] = [];
  for (const { name, rows } of measures) {
    if (options.only === undefined || name.includes(options.only)) all.push(...(await rows(options)));
  }
  return all;
}
