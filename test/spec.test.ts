import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";

const root = resolve(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

const ruleIds = [...read("docs/SPEC.md").matchAll(/^- \*\*([A-Z]{2}\d+)\*\*/gm)].map((match) => match[1] ?? "");
const prefixOf = (id: string) => id.slice(0, 2);

/** Every rule id that a test file names at the beginning of a text: of a test's name, or of a table that gives them. */
function namedIn(path: string): { readonly id: string; readonly path: string }[] {
  const names = read(path).matchAll(/(?<=["'`])(?:[A-Z]{2}\d+ )+/g);
  return [...names].flatMap(([ids]) =>
    ids
      .trim()
      .split(" ")
      .map((id) => ({ id, path })),
  );
}

const testFiles = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `test/${name}`);
const named = testFiles.flatMap(namedIn);

describe("docs/SPEC.md and the tests hold together", () => {
  test("there is something to look at", () => {
    assert.ok(ruleIds.length > 100, `${ruleIds.length} rules`);
    assert.ok(named.length > ruleIds.length, `${named.length} names`);
  });

  test("each rule has a test whose name begins with its id", () => {
    const tested = new Set(named.map(({ id }) => id));
    assert.deepEqual(
      ruleIds.filter((id) => !tested.has(id)),
      [],
    );
  });

  test("each id that a test names is a rule", () => {
    const rules = new Set(ruleIds);
    const unknown = named.filter(({ id }) => !rules.has(id)).map(({ id, path }) => `${id} in ${path}`);
    assert.deepEqual([...new Set(unknown)], []);
  });

  test("each id stands once, and the rules of one prefix stand together, in order", () => {
    const misplaced = ruleIds.filter((id, index) => {
      const before = ruleIds.slice(0, index);
      const previous = before.at(-1);
      if (previous === undefined) return false;
      const isNext = prefixOf(previous) === prefixOf(id) && Number(previous.slice(2)) < Number(id.slice(2));
      const isFirst = before.every((other) => prefixOf(other) !== prefixOf(id));
      return !isNext && !isFirst;
    });
    assert.deepEqual(misplaced, []);
  });
});

test("each rule that SECURITY.md counts on is a rule", () => {
  const rows = [...read("SECURITY.md").matchAll(/^\|.*\| ((?:[A-Z]{2}\d+ ?)+) \|$/gm)];
  assert.ok(rows.length > 10, `${rows.length} rows`);
  const counted = rows.flatMap(([, ids = ""]) => ids.split(" "));
  assert.deepEqual(
    counted.filter((id) => !ruleIds.includes(id)),
    [],
  );
});
