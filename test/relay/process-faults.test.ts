import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { bidiCarriage } from "../../src/client/carriage-bidi.ts";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import { judge } from "../../trial/judge.ts";
import { foldTexts, readRecords } from "../../trial/log.ts";
import { Participant } from "../../trial/participant.ts";
import { freePort, RelayProcess } from "../../trial/relay-process.ts";
import { SmallDisk } from "../../trial/small-disk.ts";
import { Typist } from "../../trial/typist.ts";
import { unlessDeno } from "../support/runtimes.ts";
import { until } from "./operators.ts";

const thisRuntime = process.versions.bun === undefined ? "node" : "bun";
const session = "faults";
const secretText = "a secret of the tests, thirty-two bytes long";
const secret = new TextEncoder().encode(secretText);
const cleanups: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function startProcess(dataDir?: string, runtime: RuntimeName = thisRuntime): Promise<RelayProcess> {
  const folder = dataDir ?? mkdtempSync(join(tmpdir(), "baton-faults-"));
  const relay = new RelayProcess(runtime, await freePort(), folder, secretText);
  await relay.start();
  cleanups.push(async () => {
    await relay.stop();
    if (dataDir === undefined) rmSync(folder, { recursive: true, force: true });
  });
  return relay;
}

/** Two people who type, each into a file of their own, until they are told to stop. */
async function startTyping(relay: RelayProcess) {
  const people = ["ana", "ben"].map((name) => {
    const reader = createClient(CodeReviewService, createConnectTransport({ baseUrl: relay.url, httpVersion: "2" }));
    return new Participant({ name, session, secret, reader, carriage: bidiCarriage(reader), tokenTtlSeconds: 600 });
  });
  const [ana, ben] = people;
  assert.ok(ana !== undefined && ben !== undefined);
  let isOver = false;
  let typed = 0;
  const type = async (person: Participant) => {
    const path = `${person.name}.ts`;
    person.connection.open();
    person.connection.act((machine) => machine.createFile(path, ""));
    await until(() => person.machine.text(path) !== undefined);
    for (let n = 0; !isOver; n++) {
      const transactions = [[{ from: n, to: n, insert: String(n % 10) }]];
      new Typist(path, { name: path, transactions, endText: "" }, 0).type(person.connection, person.machine);
      typed += 1;
      await pause(2);
    }
  };
  const typing = people.map(type);
  cleanups.push(() => {
    for (const { connection } of people) connection.close(100);
  });
  return {
    ana,
    ben,
    get acked() {
      return ana.acked.length + ben.acked.length;
    },
    /** Stops them, and holds what they were told against what the log says. */
    async settle(): Promise<void> {
      isOver = true;
      await Promise.all(typing);
      await untilPatiently(() => people.every(({ machine }) => machine.settled));
      const reader = createClient(CodeReviewService, createConnectTransport({ baseUrl: relay.url, httpVersion: "2" }));
      const claims = { sub: "reader", sessions: [session], scope: "session:read", ttlSeconds: 600 };
      const records = await readRecords(reader, session, await signDevelopmentToken(secret, claims, Date.now()));
      await untilPatiently(() => people.every(({ machine }) => machine.lastSeq === records.length));
      assert.ok(typed > 100 && records.length > 20, `${typed} typed, ${records.length} records`);
      assert.deepEqual(judge(session, people, records), []);
      const folded = foldTexts(session, records);
      const length = [...folded.values()].reduce((sum, text) => sum + text.length, 0);
      assert.equal(length, typed, "all that was typed is there, once");
    },
  };
}

async function untilPatiently(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 6_000 && !holds(); tries++) await pause(10);
  assert.ok(holds(), "it never came true");
}

describe("a relay process under load", () => {
  test("SF7 killed again and again: what was acked is there, and nothing is there twice", async () => {
    const relay = await startProcess();
    const typing = await startTyping(relay);
    for (let kills = 0; kills < 4; kills++) {
      const before = typing.acked;
      await untilPatiently(() => typing.acked > before + 25);
      await relay.kill();
      await relay.start();
    }
    await typing.settle();
  });

  for (const runtime of [thisRuntime, "deno"] as const) {
    const says = runtime === "deno" ? `, on Deno${unlessDeno}` : "";
    const skip = runtime === "deno" && unlessDeno !== "";
    test(`SF8 stopped for 5 s and let go on: its streams live, and nothing is lost or there twice${says}`, {
      skip,
    }, async () => {
      const relay = await startProcess(undefined, runtime);
      const typing = await startTyping(relay);
      await untilPatiently(() => typing.acked > 50);
      await relay.pauseFor(5_000);
      const before = typing.acked;
      await untilPatiently(() => typing.acked > before + 50);
      await typing.settle();
      assert.equal(typing.ana.counts.resumed + typing.ben.counts.resumed, 0);
    });
  }

  const mayMount = SmallDisk.mayMount();
  const says = mayMount ? "" : " (skipped: this user may not mount)";
  test(`SF9 a file system that fills up and is emptied again: no restart is needed${says}`, {
    skip: !mayMount,
  }, async () => {
    const disk = SmallDisk.mount(48);
    assert.ok(disk !== undefined);
    cleanups.push(() => disk.unmount());
    const relay = await startProcess(disk.folder);
    const typing = await startTyping(relay);
    for (let fills = 1; fills <= 2; fills++) {
      const before = typing.acked;
      await untilPatiently(() => typing.acked > before + 25);
      const refusals = relay.countLogged("the storage is full");
      disk.fill();
      await untilPatiently(() => relay.countLogged("the storage is full") > refusals);
      const full = typing.acked;
      await pause(300);
      assert.ok(typing.acked <= full + 2, "nothing is acked that cannot be kept");
      disk.relieve();
    }
    await typing.settle();
    assert.equal(typing.ana.counts.resumed + typing.ben.counts.resumed, 0, "the streams lived");
  });
});
