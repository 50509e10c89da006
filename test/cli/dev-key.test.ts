import assert from "node:assert/strict";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ConfigurationError } from "../../src/cli/configuration-error.ts";
import { devKeyPath, openDevKey } from "../../src/cli/dev-key.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const asText = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("the development key", () => {
  test("CF10 is made once, readable by its owner alone, and is the text of its file", async () => {
    const folder = join(bench.folder(), "not/there/yet");
    const first = await openDevKey(folder);
    const file = readFileSync(devKeyPath(folder), "utf8");
    assert.match(file, /^[A-Za-z0-9_-]{43}\n$/);
    assert.equal(asText(first), file.trim());
    assert.equal(statSync(devKeyPath(folder)).mode & 0o777, 0o600);
    assert.deepEqual(await openDevKey(folder), first);
    assert.deepEqual(readdirSync(folder), ["dev-key"]);
  });

  test("CF10 of several starts at once all take the same", async () => {
    const folder = bench.folder();
    const keys = await Promise.all(Array.from({ length: 8 }, () => openDevKey(folder)));
    assert.equal(new Set(keys.map(asText)).size, 1);
    assert.deepEqual(readdirSync(folder), ["dev-key"]);
    assert.notDeepEqual(await openDevKey(bench.folder()), keys[0]);
  });

  test("CF11 one that others may read is refused, with what to do", async () => {
    const folder = bench.folder();
    await openDevKey(folder);
    chmodSync(devKeyPath(folder), 0o640);
    await assert.rejects(
      openDevKey(folder),
      (error) => error instanceof ConfigurationError && /chmod 600/.test(error.message),
    );
  });

  test("CF11 one that is damaged is refused, left as it is, and not told", async () => {
    const folder = bench.folder();
    writeFileSync(devKeyPath(folder), "PINEAPPLE", { mode: 0o600 });
    await assert.rejects(
      openDevKey(folder),
      (error) => error instanceof ConfigurationError && !error.message.includes("PINEAPPLE"),
    );
    assert.equal(readFileSync(devKeyPath(folder), "utf8"), "PINEAPPLE");
  });

  test("CF11 a folder that cannot be made is named", async () => {
    const file = join(bench.folder(), "file");
    writeFileSync(file, "");
    await assert.rejects(
      openDevKey(join(file, "data")),
      (error) => error instanceof ConfigurationError && error.message.includes("BATON_DATA_DIR"),
    );
    assert.ok(existsSync(file));
  });
});
