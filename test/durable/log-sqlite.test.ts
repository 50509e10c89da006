import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { describeSessionLog } from "./log-contract.ts";
import { makeFolder } from "./sqlite-folder.ts";

describeSessionLog("SQLite", async () => {
  const { path, remove } = makeFolder();
  let log = await openSqliteLog({ path, now: Date.now });
  return {
    log,
    reopen: async () => {
      await log.close();
      log = await openSqliteLog({ path, now: Date.now });
      return log;
    },
    dispose: async () => {
      await log.close();
      remove();
    },
  };
});
