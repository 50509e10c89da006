// Networks as they are: what is late, slow, in pieces, or cut at any byte costs no message, and makes none twice.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { bidiCarriage } from "../../src/client/carriage-bidi.ts";
import { splitCarriage } from "../../src/client/carriage-split.ts";
import { CodeReviewService, Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { judge } from "../../trial/judge.ts";
import { readRecords } from "../../trial/log.ts";
import { Participant } from "../../trial/participant.ts";
import { Typist } from "../../trial/typist.ts";
import { createRandom } from "../support/random.ts";
import { type Cut, type ProxyWeather, startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { type Kind, Stream, secret, startRelay, type TestRelay, transports } from "./harness.ts";
import { until } from "./operators.ts";

const random = createRandom(16);

const late = { latencyMs: () => 150 + random() * 150 };
const slow = { bytesPerSecond: 4_000 };
const inPieces = { sliceBytes: 1 };
const weathers: Readonly<Record<string, ProxyWeather>> = {
  "late both ways, and never by the same": { up: late, down: late },
  "slow on the way down": { down: slow },
  "byte by byte": { up: inPieces, down: inPieces },
};

let relay: TestRelay;
let proxy: TcpProxy;
before(async () => {
  relay = await startRelay({ limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 } });
  proxy = await startTcpProxy(relay.url);
});
after(async () => {
  await proxy.stop();
  await relay.stop();
});

describe("weather", () => {
  for (const [title, weather] of Object.entries(weathers)) {
    for (const carriage of ["bidi", "split"] as const) {
      test(`ED8 CT3 two who type come to one text over a network that is ${title}: ${carriage}`, async () => {
        const session = `weather-${title.length}-${carriage}`;
        proxy.setWeather(weather);
        const reader = relay.client();
        const people = ["ana", "ben"].map((name) => {
          const client = createClient(CodeReviewService, transports["connect-h1"](proxy.url));
          return new Participant({
            name,
            session,
            secret,
            reader,
            carriage: carriage === "bidi" ? bidiCarriage(client) : splitCarriage(client, Date.now),
            tokenTtlSeconds: 600,
          });
        });
        try {
          for (const { connection } of people) connection.open();
          people[0]?.connection.act((machine) => machine.createFile("a.ts", "\n"));
          await until(() => people.every(({ machine }) => machine.text("a.ts") !== undefined));
          const transactions = Array.from({ length: 40 }, (_, n) => [{ from: n, to: n, insert: String(n % 10) }]);
          const typists = people.map((person, n) => {
            const typist = new Typist("a.ts", { name: "", transactions, endText: "" }, n);
            person.listen((event) => typist.heard(event));
            return { person, typist };
          });
          for (const { person, typist } of typists) {
            while (!typist.done) {
              typist.type(person.connection, person.machine);
              await new Promise((resolve) => setTimeout(resolve, 2));
            }
          }
          await until(() => people.every(({ machine }) => machine.settled));
          const token = await relay.token({ sub: "reader", sessions: [session] });
          const records = await readRecords(reader, session, token);
          await until(() => people.every(({ machine }) => machine.lastSeq === records.length));
          // The file, and something of each; what is typed while an Ack is on its way goes as one.
          assert.ok(records.length >= 3, `${records.length} records`);
          assert.deepEqual(judge(session, people, records), []);
          assert.equal(people[0]?.machine.text("a.ts")?.length, 1 + 2 * transactions.length);
          for (const { counts } of people) assert.equal(counts.resumed + counts.resynced, 0, "its stream lived");
        } finally {
          proxy.setWeather({});
          for (const { connection } of people) connection.close(0);
        }
      });
    }
  }
});

describe("a connection that is cut", () => {
  const custom = { case: "custom", value: { type: "note", data: new Uint8Array(8) } } as const;
  let sessions = 0;
  const proxies: TcpProxy[] = [];
  after(() => Promise.all(proxies.map((one) => one.stop())));

  /** A stream through a proxy, and its connection there. */
  async function enter(kind: Kind, session: string, resumeToken = "") {
    const token = await relay.token({ sessions: [session] });
    // One of its own: a client of HTTP/1.1 goes on to use the connections that it has to an address.
    const own = await startTcpProxy(relay.url);
    proxies.push(own);
    const stream = new Stream(createClient(CodeReviewService, transports[kind](own.url)), token);
    stream.send({ case: "join", value: { clientId: "c", resumeToken } }, { sessionId: session });
    const welcome = await stream.take("welcome");
    const [link] = own.links;
    assert.ok(link !== undefined);
    return { stream, welcome, link };
  }

  for (const direction of ["up", "down"] as const) {
    for (const how of ["fin", "rst"] as const satisfies Cut[]) {
      for (const kind of ["connect", "connect-h1"] as const) {
        const what = direction === "up" ? "on a message's way up" : "on the way of its Ack";
        test(`OR4 RS4 at any byte ${what}, by ${how.toUpperCase()}: sent again it is there once, ${kind}`, async () => {
          const outcomes = { kept: 0, lost: 0 };
          for (let bytes = 0; bytes <= 48; bytes += 3) {
            const session = `cut-${++sessions}`;
            const first = await enter(kind, session);
            await first.stream.take("snapshot");
            first.link[direction].cutAfter(bytes, how);
            first.stream.send(custom, { clientSeq: 1n });
            // Where the cut is beyond the message, it is left to what comes next.
            const isShort = await Promise.race([
              first.stream.take("ack").then(() => true),
              first.stream.ended.then(() => false),
            ]).catch(() => false);
            if (isShort) first.link.cut(how);
            await first.stream.ended;
            const again = await enter(kind, session, first.welcome.resumeToken);
            assert.equal(again.welcome.outcome, Outcome.RESUMED);
            outcomes[again.welcome.lastClientSeq === 1n ? "kept" : "lost"] += 1;
            again.stream.send(custom, { clientSeq: 1n });
            assert.equal((await again.stream.take("ack")).seq, 1n);
            again.stream.send(custom, { clientSeq: 2n });
            assert.equal(
              (
                await again.stream.takeMessage(
                  "ack",
                  ({ payload }) => payload.case === "ack" && payload.value.seq === 2n,
                )
              ).seq,
              0n,
            );
            again.stream.cut();
            const token = await relay.token({ sessions: [session] });
            assert.equal((await readRecords(relay.client(), session, token)).length, 2);
          }
          if (direction === "up") assert.ok(outcomes.lost > 0, "no cut took the message with it");
          assert.ok(outcomes.kept > 0, "no message came before its cut");
        });
      }
    }
  }
});
