// Every limit of the relay: what happens at it, and what one beyond it. What a listener or a body has to do with is shown
// where that is tested.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { limitNames } from "../../../src/runtime/limit-settings.ts";
import type { Limits } from "../../../src/session/limits.ts";
import { repository } from "../../cli/run-baton.ts";
import { counts } from "./counts.ts";
import { log } from "./log.ts";
import { sizes } from "./sizes.ts";
import { times } from "./times.ts";
import type { AtLimit } from "./with-relay.ts";

/** A test of another file: its beginning. */
interface Elsewhere {
  readonly file: string;
  readonly title: string;
}

const table: Readonly<Record<keyof Limits, AtLimit | Elsewhere>> = {
  ...sizes,
  ...counts,
  ...times,
  ...log,
  streamsPerConnection: { file: "test/wire/stray.test.ts", title: "LS4 a stream more than a connection may hold" },
  headerBytes: { file: "test/wire/connections.test.ts", title: "LM12 headers" },
  connectionIdleMs: { file: "test/wire/connections.test.ts", title: "LM13 a connection on which no stream is open" },
  firstMessageMs: { file: "test/wire/connections.test.ts", title: "LM14 " },
  slowReaderMs: { file: "test/relay/slow.test.ts", title: "ST17 when it has taken nothing for 30 s" },
  drainMs: { file: "test/relay/drain.test.ts", title: "LC1 " },
  objectReaders: { file: "test/relay/edge/replicas.test.ts", title: "RP1 " },
  replicaReaders: { file: "test/relay/edge/replicas.test.ts", title: "RP2 " },
  logAgeMs: { file: "test/relay/retention.test.ts", title: "BK8 those that nobody touched for long enough" },
};

describe("limits", () => {
  test("LM6 each has its place in the table", () => {
    assert.deepEqual(Object.keys(table).sort(), [...limitNames].sort());
  });

  for (const [name, shown] of Object.entries(table)) {
    if (typeof shown === "function") {
      test(`LM6 ${name}: at it, and one beyond`, shown);
      continue;
    }
    test(`LM6 ${name}: shown elsewhere`, () => {
      const path = join(repository, shown.file);
      assert.ok(existsSync(path) && readFileSync(path, "utf8").includes(shown.title), `${shown.file}: ${shown.title}`);
    });
  }
});
