import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { describeFailure } from "../../src/cli/describe-failure.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

describe("how a command ends that could not do what it should", () => {
  test("CL17 a database in use is named, as the log tells it, and may be free the next time", async () => {
    const path = join(bench.folder(), "log.sqlite");
    const holder = await openSqliteLog({ path, now: Date.now });
    const error: unknown = await openSqliteLog({ path, now: Date.now, lockWaitMs: 0 }).catch((reason) => reason);
    await holder.close();
    const { message, exitCode } = describeFailure(error);
    assert.match(message, /log\.sqlite is in use by another relay; .*BATON_DATA_DIR/);
    assert.equal(exitCode, 1);
  });

  test("CL17 an unexpected fault is its kind and place, without its words or a stack", () => {
    const { message, exitCode } = describeFailure(new RangeError("quotes PINEAPPLE"));
    assert.equal(exitCode, 1);
    assert.match(message, /RangeError/);
    assert.doesNotMatch(message, /PINEAPPLE|\n/);
    assert.equal(describeFailure("PINEAPPLE").message.includes("PINEAPPLE"), false);
  });
});
