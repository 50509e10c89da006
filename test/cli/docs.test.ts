import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { variableNames } from "../../src/cli/config-schema.ts";
import { limitNames, limitVariable } from "../../src/cli/limit-settings.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { repository } from "./run-baton.ts";

const readme = readFileSync(join(repository, "README.md"), "utf8");
const operating = readFileSync(join(repository, "docs/OPERATING.md"), "utf8");

describe("the docs", () => {
  test("CF12 name every setting, and no other", () => {
    const documented = [...`${readme}${operating}`.matchAll(/^\| `(BATON_[A-Z_]+)`/gm)].map(([, name]) => name);
    assert.deepEqual(documented.sort(), [...variableNames].sort());
  });

  test("CF12 tell each limit's default", () => {
    for (const name of limitNames) {
      assert.ok(operating.includes(`\n| \`${limitVariable(name)}\` | ${defaultLimits[name]} |`), name);
    }
  });
});
