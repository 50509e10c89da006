import process from "node:process";
import type { SqlDriver } from "./sqlite-driver.ts";

/** The SQLite that the runtime brings. Each driver imports what only its runtime has, so the other's is not loaded. */
export async function loadDefaultDriver(): Promise<SqlDriver> {
  if (process.versions.bun !== undefined) return (await import("./driver-bun.ts")).bunDriver;
  return (await import("./driver-node.ts")).nodeDriver;
}
