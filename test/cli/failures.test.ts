import { Database } from "bun:sqlite";
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { describeFailure } from "../../src/cli/describe-failure.ts";
import { StartError } from "../../src/runtime/start-error.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

describe("how a command ends that could not do what it should", () => {
  test("CL17 a database in use is named, as SQLite tells it and as the log does", () => {
    const path = join(bench.folder(), "log.sqlite");
    const holder = new Database(path, { create: true });
    holder.run("BEGIN EXCLUSIVE");
    const other = new Database(path);
    let busy: unknown;
    try {
      other.run("CREATE TABLE t (a)");
    } catch (error) {
      busy = error;
    }
    other.close();
    holder.close();
    const errors = [
      busy,
      new BatonError("LOG_UNAVAILABLE", undefined, { cause: busy }),
      new StartError("x", { cause: busy }),
    ];
    for (const error of errors.slice(0, 2)) {
      const { message, exitCode } = describeFailure(error);
      assert.match(message, /in use by another process.*BATON_DATA_DIR/);
      assert.equal(exitCode, 1);
    }
    assert.deepEqual(describeFailure(errors[2]), { message: "x", exitCode: 1 });
  });

  test("CL17 an unexpected fault is its kind and place, without its words or a stack", () => {
    const { message, exitCode } = describeFailure(new RangeError("quotes PINEAPPLE"));
    assert.equal(exitCode, 1);
    assert.match(message, /RangeError/);
    assert.doesNotMatch(message, /PINEAPPLE|\n/);
    assert.equal(describeFailure("PINEAPPLE").message.includes("PINEAPPLE"), false);
  });
});
