import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder for one test, and what removes it. */
export function makeFolder(): { readonly folder: string; readonly path: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "baton-log-"));
  return { folder, path: join(folder, "baton.db"), remove: () => rmSync(folder, { recursive: true, force: true }) };
}
