import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, test } from "node:test";

/** Imports run one way. What a folder of `src` may import from, itself aside. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  gen: [],
  session: ["gen"],
  auth: ["session", "gen"],
  durable: ["session", "gen"],
  relay: ["durable", "auth", "session", "gen"],
  runtime: ["relay", "durable", "auth", "session", "gen"],
  client: ["session", "gen"],
  api: ["runtime", "relay", "durable", "auth", "client", "session", "gen"],
  cli: ["runtime", "relay", "durable", "auth", "client", "session", "gen"],
};

const src = resolve(import.meta.dirname, "../src");
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join(src, name));

/** Relative imports of a file, of types too, as absolute paths. */
function importsOf(file: string): string[] {
  const found = readFileSync(file, "utf8").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
  return [...found].map((match) => resolve(dirname(file), match[1] ?? ""));
}

const folderOf = (file: string) => relative(src, file).split("/")[0] ?? "";
const graph = new Map(files.map((file) => [file, importsOf(file)]));

describe("architecture", () => {
  test("there is something to look at", () => {
    assert.ok(files.length > 5);
    assert.ok([...graph.values()].flat().length > 5);
  });

  test("every folder has its place, and imports run one way", () => {
    const steps = [...graph].flatMap(([file, imports]) =>
      imports
        .filter((target) => {
          const [from, to] = [folderOf(file), folderOf(target)];
          return from !== to && !allowed[from]?.includes(to);
        })
        .map((target) => `${relative(src, file)} -> ${relative(src, target)}`),
    );
    assert.deepEqual(steps, []);
  });

  test("no cycles, types included", () => {
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      const at = path.indexOf(file);
      assert.equal(
        at,
        -1,
        `cycle: ${[...path.slice(Math.max(at, 0)), file].map((f) => relative(src, f)).join(" -> ")}`,
      );
      if (done.has(file)) return;
      for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });

  test("every import of the project's own names a .ts file that is there", () => {
    const missing = [...graph].flatMap(([file, imports]) =>
      imports.filter((target) => !graph.has(target)).map((target) => `${relative(src, file)} -> ${target}`),
    );
    assert.deepEqual(missing, []);
  });

  test("the pure core uses no clock, randomness, timer, promise or platform", () => {
    const forbidden =
      /Date\.now|new Date\(|Math\.random|setTimeout|setInterval|queueMicrotask|\bcrypto\b|\basync\b|\bawait\b|"node:|"bun|console\./;
    const found = files.filter((file) => folderOf(file) === "session" && forbidden.test(readFileSync(file, "utf8")));
    assert.deepEqual(
      found.map((file) => relative(src, file)),
      [],
    );
  });

  test("what only one runtime has is named in src/runtime, src/durable engines and src/cli alone", () => {
    const forbidden = /\bBun\.|from "bun|\bDeno\.|from "cloudflare:/;
    const found = files.filter(
      (file) => !["runtime", "durable", "cli"].includes(folderOf(file)) && forbidden.test(readFileSync(file, "utf8")),
    );
    assert.deepEqual(
      found.map((file) => relative(src, file)),
      [],
    );
  });
});
