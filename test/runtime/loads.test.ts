import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import { runtimeName } from "../../src/runtime/this-runtime.ts";

const src = resolve(import.meta.dirname, "../../src");

/** What speaks to one runtime alone, and is loaded by what chose it. */
const ofBun = ["durable/driver-bun.ts"];
/** What speaks to Workers, which no process here is. */
const isOfWorkers = (name: string) => name.startsWith("runtime/worker");
/** The programs: loading one runs it. */
const programs = ["cli/main.ts", "cli/deploy.ts", "cli/bench/relay-process.ts"];

describe("the sources", () => {
  test("NR4 load on this runtime as they are, but for what speaks to the other one", async () => {
    const names = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
    const left = new Set([...programs, ...(runtimeName === "bun" ? [] : ofBun), ...names.filter(isOfWorkers)]);
    const loaded: string[] = [];
    for (const name of names.filter((one) => !left.has(one))) {
      await import(join(src, name));
      loaded.push(name);
    }
    assert.ok(loaded.length > 150, `${loaded.length} files`);
    assert.equal(loaded.length, names.length - left.size);
  });
});
