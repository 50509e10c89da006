/**
 * The trial of many instances: one session on three relays that share one Redis, each on another runtime, with a client of
 * another kind on each. All type into one file, and the instances are killed in turn, and started again.
 * `npm run trial:instances -- --help` says how.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ChangeSet } from "@codemirror/state";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { signDevelopmentToken } from "../src/auth/sign.ts";
import { bidiCarriage } from "../src/client/carriage-bidi.ts";
import { socketCarriage } from "../src/client/carriage-socket.ts";
import { CodeReviewService } from "../src/gen/codereview/v1/codereview_pb.ts";
import { lineBreak } from "../src/session/text.ts";
import { createRandom } from "../test/support/random.ts";
import { startRedis, withoutRedis } from "../test/support/redis-server.ts";
import { judge } from "./judge.ts";
import { foldTexts, readRecords } from "./log.ts";
import { Participant } from "./participant.ts";
import { freePort, RelayProcess } from "./relay-process.ts";
import { pause, until } from "./until.ts";

const usage = `npm run trial:instances -- [options]

A Redis of its own (redis-server in PATH, its append-only file synced), and three relays on it: on Bun with a client over
Connect, on Deno with one over WebSocket, on Node with one over native gRPC. All three type lines into one file; each
relay is killed (kill -9) in turn and started again while they do. At the end everybody, a fresh joiner on each relay and
the folded log must have the same text, each line once, and every Ack must hold. The last line on stdout is JSON; exit 1
unless that is so.

  --lines N   that each types (400)
  --kills N   of all relays together (9)
  --seed N    of where they type, and when a relay is killed (1)
  --help`;

const { values: options } = parseArgs({
  options: {
    lines: { type: "string", default: "400" },
    kills: { type: "string", default: "9" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}
if (withoutRedis !== undefined) {
  console.error(withoutRedis);
  process.exit(69);
}

const session = "trial";
const path = "shared.ts";
const secretText = crypto.randomUUID() + crypto.randomUUID();
const secret = new TextEncoder().encode(secretText);
const lines = Number(options.lines);
const random = createRandom(Number(options.seed));

const redis = await startRedis();
const folder = mkdtempSync(join(tmpdir(), "baton-instances-"));
const environment = { BATON_LOG: "redis", REDIS_URL: redis.url };

interface Place {
  readonly runtime: "bun" | "deno" | "node";
  readonly relay: RelayProcess;
  readonly person: Participant;
  /** Somebody who comes to this relay at the end. */
  readonly late: Participant;
}

async function openPlace(
  runtime: Place["runtime"],
  name: string,
  carriageOn: (url: string) => { readonly transport: Transport; readonly isSocket: boolean },
): Promise<Place> {
  const relay = new RelayProcess(runtime, await freePort(), folder, secretText, environment);
  await relay.start();
  const { transport, isSocket } = carriageOn(relay.url);
  const reader = createClient(CodeReviewService, transport);
  const participant = (who: string) =>
    new Participant({
      name: who,
      session,
      secret,
      reader,
      carriage: isSocket ? socketCarriage({ url: relay.url }) : bidiCarriage(reader),
      tokenTtlSeconds: 20,
    });
  return { runtime, relay, person: participant(name), late: participant(`${name}-late`) };
}

const places = [
  await openPlace("bun", "ana", (baseUrl) => ({
    transport: createConnectTransport({ baseUrl, httpVersion: "2" }),
    isSocket: false,
  })),
  await openPlace("deno", "ben", (baseUrl) => ({
    transport: createConnectTransport({ baseUrl, httpVersion: "2" }),
    isSocket: true,
  })),
  await openPlace("node", "cleo", (baseUrl) => ({ transport: createGrpcTransport({ baseUrl }), isSocket: false })),
];
const people = places.map(({ person }) => person);
const [first] = places;
if (first === undefined) throw new Error("somebody has to type");

const isBack = ({ machine }: Participant) => machine.phase.kind === "live";
const typed: string[] = [];
const total = lines * people.length;
let kills = 0;
const startedMs = Date.now();

const times = Number(options.kills);
const killAt = (n: number) => (total * n) / (times + 1);

async function type({ name, machine, connection }: Participant): Promise<void> {
  for (let n = 0; n < lines; n++) {
    const text = machine.text(path);
    if (text === undefined) throw new Error(`${name} has lost the file`);
    const line = `${name} ${n}`;
    const at = text.line(1 + Math.floor(random() * text.lines)).to;
    connection.act((one) => one.edit(path, ChangeSet.of({ from: at, insert: `\n${line}` }, text.length, lineBreak)));
    typed.push(line);
    await pause(1 + Math.floor(random() * 20));
    // Whoever's relay is there types on while another is killed, and not so far ahead that nobody types at the next kill.
    await until("the next relay is killed", () => typed.length < killAt(kills + 2) || kills === times);
  }
}

async function killInTurn(): Promise<void> {
  for (let n = 1; n <= times; n++) {
    await until("it is time to kill", () => typed.length >= killAt(n));
    const place = places[n % places.length];
    if (place === undefined) return;
    await place.relay.kill();
    kills += 1;
    console.error(`killed the relay on ${place.runtime} at ${typed.length} of ${total} lines`);
    await pause(Math.floor(random() * 500));
    await place.relay.start();
    await until(`${place.person.name} is back`, () => isBack(place.person));
  }
}

const faults: string[] = [];
let records = 0;
try {
  first.person.connection.open();
  first.person.connection.act((machine) => machine.createFile(path, "begin"));
  await until("the file is there", () => first.person.acked.length > 0);
  for (const { connection } of people.slice(1)) connection.open();
  await until("all have the file", () => people.every(({ machine }) => machine.text(path) !== undefined));
  await Promise.all([...people.map(type), killInTurn()]);
  await until("everybody's work is in the log", () => people.every(({ machine }) => machine.settled));
  const token = await signDevelopmentToken(
    secret,
    { sub: "reader", sessions: [session], scope: "session:read", ttlSeconds: 600 },
    Date.now(),
  );
  const reader = createClient(
    CodeReviewService,
    createConnectTransport({ baseUrl: first.relay.url, httpVersion: "2" }),
  );
  const log = await readRecords(reader, session, token);
  records = log.length;
  const late = places.map((place) => place.late);
  for (const { connection } of late) connection.open();
  const all = [...people, ...late];
  await until("everybody has read all", () => all.every(({ machine }) => machine.lastSeq === records));
  faults.push(...judge(session, all, log));
  const text = foldTexts(session, log).get(path) ?? "";
  const found = text.split("\n").sort();
  const wanted = ["begin", ...typed].sort();
  if (found.join("\n") !== wanted.join("\n"))
    faults.push(`${wanted.length} lines were typed, ${found.length} are there`);
  for (const { connection } of all) connection.close(500);
} catch (error) {
  faults.push(error instanceof Error ? error.message : String(error));
}
const seconds = (Date.now() - startedMs) / 1000;
for (const { name, counts } of people) console.error(`${name}: ${JSON.stringify(counts)}`);
for (const fault of faults) console.error(`fault: ${fault}`);
for (const { relay } of places) await relay.stop();
await redis.dispose();
rmSync(folder, { recursive: true, force: true });
const resumed = people.reduce((sum, { counts }) => sum + counts.resumed, 0);
console.log(JSON.stringify({ lines: typed.length, records, kills, resumed, seconds, equal: faults.length === 0 }));
process.exit(faults.length === 0 ? 0 : 1);
