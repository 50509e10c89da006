import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { createFaultyDriver } from "./faulty-driver.ts";
import { LocalObjects } from "./local-objects.ts";
import { describeSessionLog } from "./log-contract.ts";
import { compareWithMemory } from "./log-model.ts";

const driver = await loadDefaultDriver();

describeSessionLog("Durable Objects, in this process", async () => {
  const objects = new LocalObjects(driver);
  return {
    log: objects.log,
    reopen: async () => {
      objects.evict();
      return objects.openLog();
    },
    dispose: async () => objects.close(),
  };
});

describe("objects' logs beside the memory log", () => {
  test("DB8 whatever is asked for and whichever statement fails, both hold the same", async () => {
    let rows = 0;
    const faults = await compareWithMemory(async (now) => {
      const faulty = createFaultyDriver();
      const objects = new LocalObjects(faulty, { now });
      return {
        log: objects.log,
        driver: faulty,
        reopen: async () => {
          objects.evict();
          return objects.openLog();
        },
        settle: () => objects.wakeAll(),
        dispose: async () => {
          rows += faulty.count("INSERT INTO records VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
          objects.close();
        },
      };
    });
    assert.ok(faults > 30 && rows > 30, `${faults} faults, ${rows} rows of records: something happened`);
  });
});
