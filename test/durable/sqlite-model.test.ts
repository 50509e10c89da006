import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { createFaultyDriver } from "./faulty-driver.ts";
import { compareWithMemory } from "./log-model.ts";
import { makeFolder } from "./sqlite-folder.ts";

describe("SQLite log beside the memory log", () => {
  test("LG31 whatever is asked for and whichever statement fails, both hold the same", async () => {
    let folded = 0;
    const faults = await compareWithMemory(async (now) => {
      const { path, remove } = makeFolder();
      const driver = createFaultyDriver();
      const open = () => openSqliteLog({ path, now, driver });
      let log = await open();
      return {
        log,
        driver,
        reopen: async () => {
          await log.close();
          log = await open();
          return log;
        },
        dispose: async () => {
          folded += driver.count("INSERT INTO segments VALUES(?, ?, ?, ?, ?)");
          await log.close();
          remove();
        },
      };
    });
    assert.ok(faults > 30 && folded > 30, `${faults} faults, ${folded} segments: something happened`);
  });
});
