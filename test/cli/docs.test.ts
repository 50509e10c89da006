import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { variableNames } from "../../src/cli/config-schema.ts";
import { createProgram } from "../../src/cli/program.ts";
import { limitNames, limitVariable } from "../../src/runtime/limit-settings.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { repository } from "./run-baton.ts";

const readme = readFileSync(join(repository, "README.md"), "utf8");
const operating = readFileSync(join(repository, "docs/operate.md"), "utf8");

describe("the docs", () => {
  test("CF12 name every setting, and no other", () => {
    const documented = [...`${readme}${operating}`.matchAll(/^\| `((?:BATON|REDIS|UPSTASH)_[A-Z_]+)`/gm)].map(
      ([, name]) => name,
    );
    assert.deepEqual(documented.sort(), [...variableNames].sort());
  });

  test("CF12 tell each limit's default", () => {
    for (const name of limitNames) {
      assert.ok(operating.includes(`\n| \`${limitVariable(name)}\` | ${defaultLimits[name]} |`), name);
    }
  });
});

describe("the commands that the docs show", () => {
  const read = (path: string) => readFileSync(join(repository, path), "utf8");
  const examples = readdirSync(join(repository, "examples"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `examples/${name}/README.md`);
  const pages = ["clients", "cli", "versioning", "deployments", "operate", "backup"].map((name) => `docs/${name}.md`);
  const shown = ["README.md", "CONTRIBUTING.md", ...pages, ...examples].map(read).join("\n");
  const all = (pattern: RegExp) => [...new Set([...shown.matchAll(pattern)].map(([, match = ""]) => match))];

  test("EX6 npm scripts are there", () => {
    const scripts: object = JSON.parse(read("package.json")).scripts;
    const named = all(/(?:^|`|&& |node )npm (?:run )?((?!ci\b|run\b|pack\b|install\b)[a-z][\w:-]*)/gm);
    assert.ok(named.includes("test") && named.includes("start") && named.includes("trial"), named.join());
    assert.deepEqual(
      named.filter((name) => !Object.hasOwn(scripts, name)),
      [],
    );
  });

  test("EX6 tasks of Deno are there", () => {
    const tasks: object = JSON.parse(read("deno.json")).tasks;
    const named = all(/\bdeno task ([a-z]+)`/g);
    assert.ok(named.includes("start"));
    assert.deepEqual(
      named.filter((name) => !Object.hasOwn(tasks, name)),
      [],
    );
  });

  test("EX6 commands and options of baton are there", () => {
    const lines = all(/\bnpx baton ((?!start it)[a-z][^`|\n]*)/g);
    assert.ok(lines.length > 5, lines.join("\n"));
    for (const line of lines) {
      const flags = [...line.matchAll(/(?:^| |\[)(--[a-z-]+)/g)].map(([, flag = ""]) => flag);
      let command = createProgram();
      for (const word of line.split(/[^a-z-]/)) {
        const next = command.commands.find((one) => one.name() === word);
        if (next === undefined) break;
        command = next;
      }
      assert.notEqual(command.name(), "baton", `npx baton ${line}`);
      const known = new Set(command.options.map(({ long }) => long));
      assert.deepEqual(
        flags.filter((flag) => !known.has(flag)),
        [],
        `npx baton ${line}`,
      );
    }
  });

  test("EX7 a variable of the relay's prefix that an example names is one of the relay's", () => {
    const known = new Set<string>(variableNames);
    const files = readdirSync(join(repository, "examples"), { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const named = files.flatMap(({ parentPath, name }) => [
      ...readFileSync(join(parentPath, name), "utf8").matchAll(/\bBATON_[A-Z_]*[A-Z]\b/g),
    ]);
    const names = named.map(([name]) => name);
    assert.ok(names.includes("BATON_JWT_PUBLIC_KEY"));
    assert.deepEqual(
      names.filter((name) => !known.has(name)),
      [],
    );
  });

  test("EX6 files that are run are there, and are run by a test", () => {
    const files = all(/\b(?:sh|bun|node) (examples\/[\w./-]+)/g);
    assert.ok(files.length >= 7, files.join());
    const tests = read("test/examples.test.ts");
    for (const file of files) {
      assert.ok(existsSync(join(repository, file)), file);
      assert.ok(tests.includes(file.split("/").at(-1) ?? ""), `${file} is run by no test`);
    }
  });
});
