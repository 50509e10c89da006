import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { describeSessionLog } from "../durable/log-contract.ts";
import { missingWorkerd, Workerd } from "./harness.ts";
import { createBridgedLog } from "./log-bridge.ts";

const entry = fileURLToPath(new URL("log-worker.ts", import.meta.url));
const note = missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`;

describe(`a log in Durable Objects${note}`, { skip: missingWorkerd !== "" }, () => {
  let workerd: Workerd;
  before(async () => {
    workerd = await Workerd.start({ entry, objects: { SESSIONS: "StoredSession", DIRECTORY: "DirectoryObject" } });
  });
  after(() => workerd.dispose());

  let stores = 0;
  describeSessionLog("Durable Objects", async () => {
    stores += 1;
    const store = `store-${stores}`;
    const open = () => createBridgedLog(() => workerd.url, store);
    return {
      log: open(),
      reopen: async () => {
        await workerd.restart();
        return open();
      },
      dispose: async () => {},
    };
  });
});
