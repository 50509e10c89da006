import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { describeSessionLog } from "./log-contract.ts";

describeSessionLog("memory", async () => {
  const log = createMemoryLog(Date.now);
  return { log, dispose: () => log.close() };
});
