/**
 * The trial: people type files into one session over the wire, all at once, cut off and resumed all the time, and at the
 * end everybody, the log and what was typed have to be the same bytes. `npm run trial -- --help` says how.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { createConnectTransport as createWebTransport } from "@connectrpc/connect-web";
import { signDevelopmentToken } from "../src/auth/sign.ts";
import { bidiCarriage } from "../src/client/carriage-bidi.ts";
import { splitCarriage } from "../src/client/carriage-split.ts";
import { CodeReviewService } from "../src/gen/codereview/v1/codereview_pb.ts";
import { runtimeNames } from "../src/runtime/this-runtime.ts";
import { createRandom } from "../test/support/random.ts";
import { startTcpProxy } from "../test/support/tcp-proxy.ts";
import { foldTexts, readRecords } from "./log.ts";
import { Participant } from "./participant.ts";
import { freePort, RelayProcess, raisedLimits } from "./relay-process.ts";
import { SmallDisk } from "./small-disk.ts";
import { ownSources, readTraces, type Typing } from "./texts.ts";
import { Typist } from "./typist.ts";
import { pause, until } from "./until.ts";

const usage = `npm run trial -- [options]

Two people type files into one session of a real relay (its own process, SQLite), a third joins in the middle; each is cut
off and resumed every few hundred edits, and every token is rotated several times. At the end all participants, a fresh
joiner and the folded log must have the same bytes. The last line on stdout is JSON; exit 1 unless all is equal and
nothing was lost or came twice. The relay's rate limits are raised for it.

  --traces DIR   type the real histories there (*.json.gz of "editing-traces") instead of two files of this repository
  --runtime R    what the relay runs on, bun, node or deno (bun)
  --kill         kill -9 the relay several times, and start it again
  --drain        drain it (SIGTERM) and start it again; with --kill too, in turn
  --kills N      how often, in all (5)
  --full-disk    keep the log on a small file system that is filled several times, and emptied again; the relay is not
                 started again. It mounts a tmpfs, for which it has to run as root
  --weather bad  everybody's connections go through a network that is late by 20 to 120 ms, slow (250 kB/s down), and cuts
                 what it carries into pieces
  --seed N       of when streams are cut (1)
  --help`;

const { values: options } = parseArgs({
  options: {
    traces: { type: "string" },
    runtime: { type: "string", default: "bun" },
    kill: { type: "boolean", default: false },
    drain: { type: "boolean", default: false },
    kills: { type: "string", default: "5" },
    "full-disk": { type: "boolean", default: false },
    weather: { type: "string", default: "fair" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}

const runtime = runtimeNames.find((name) => name === options.runtime);
if (runtime === undefined) throw new Error(`--runtime is one of ${runtimeNames.join(", ")}`);

if ((options.kill || options.drain) && options["full-disk"]) {
  throw new Error("--kill and --drain, or --full-disk: no relay starts on a full disk");
}

const isWeatherBad = options.weather === "bad";
if (!isWeatherBad && options.weather !== "fair") throw new Error("--weather is bad or fair");

const session = "trial";
const secretText = crypto.randomUUID() + crypto.randomUUID();
const secret = new TextEncoder().encode(secretText);
const tokenTtlSeconds = 8;
/** Edits between two cuts of a stream: from the first number on, so many more at most. */
const cutEvery = [200, 300] as const;
/** Edits between two renewals of a token, besides those that its short life asks for. */
const rotateEvery = 1_500;
/** A tenth of each person's edits go into the other's file, above what the other types there. */
const headerShare = 10;

function headerFor(typing: Typing): Typing {
  const text = `// ${typing.name}: read by the other\n`.repeat(
    Math.ceil(typing.transactions.length / headerShare / 40),
  );
  return {
    name: `${typing.name} (header)`,
    transactions: [...text].map((insert, at) => [{ from: at, to: at, insert }]),
    endText: text,
  };
}

const random = createRandom(Number(options.seed));
const typings = options.traces === undefined ? ownSources() : readTraces(options.traces);
const [typingA, typingB] = typings;
if (typingA === undefined || typingB === undefined) throw new Error("the trial needs two texts");
const headers = [headerFor(typingA), headerFor(typingB)] as const;
const expected = new Map([
  [typingA.name, `${headers[0].endText}\n${typingA.endText}`],
  [typingB.name, `${headers[1].endText}\n${typingB.endText}`],
]);

/** The log of the trial fits several times, and is filled up within a few seconds. */
const diskMebibytes = 128;
const disk = options["full-disk"] ? SmallDisk.mount(diskMebibytes) : undefined;
if (options["full-disk"] && disk === undefined)
  throw new Error("--full-disk mounts a file system: run it as root, on Linux");
const dataDir = disk?.folder ?? mkdtempSync(join(tmpdir(), "baton-trial-"));
const relay = new RelayProcess(runtime, await freePort(), dataDir, secretText);
const late = { latencyMs: () => 20 + random() * 100, sliceBytes: 100 };
const network = isWeatherBad
  ? await startTcpProxy(relay.url, { up: late, down: { ...late, bytesPerSecond: 250_000 } })
  : undefined;
const baseUrl = network?.url ?? relay.url;
const clientOf = (transport: Transport) => createClient(CodeReviewService, transport);
const connect = clientOf(createConnectTransport({ baseUrl, httpVersion: "2" }));
const grpcWeb = clientOf(createGrpcWebTransport({ baseUrl, httpVersion: "2" }));
const web = clientOf(createWebTransport({ baseUrl, useBinaryFormat: true }));
const common = { session, secret, tokenTtlSeconds, reader: connect };
console.error(`relay on ${relay.url}; raised for the trial: ${JSON.stringify(raisedLimits)}`);
await relay.start();

const ana = new Participant({ ...common, name: "ana", carriage: bidiCarriage(connect) });
const ben = new Participant({ ...common, name: "ben", carriage: bidiCarriage(grpcWeb) });
const cleo = new Participant({ ...common, name: "cleo", carriage: splitCarriage(web, Date.now) });
const people = [ana, ben, cleo];

// Both files are there before anybody types, each with the line break between its header and its text.
ana.connection.open();
ben.connection.open();
ana.connection.act((machine) => machine.createFile(typingA.name, "\n"));
ben.connection.act((machine) => machine.createFile(typingB.name, "\n"));
await until("both files are there", () =>
  [ana, ben].every(({ machine }) => machine.text(typingA.name) && machine.text(typingB.name)),
);

interface Desk {
  readonly person: Participant;
  readonly typists: readonly Typist[];
}

const desk = (person: Participant, own: Typing, others: Typing, header: Typing): Desk => {
  const typists = [new Typist(own.name, own, 1), new Typist(others.name, header, 0)];
  for (const typist of typists) person.listen((event) => typist.heard(event));
  return { person, typists };
};
const desks = [desk(ana, typingA, typingB, headers[1]), desk(ben, typingB, typingA, headers[0])];

const total = [typingA, typingB, ...headers].reduce((sum, { transactions }) => sum + transactions.length, 0);
let edits = 0;
let comments = 0;
let cuts = 0;
const startedMs = Date.now();

async function typeAll({ person, typists: [own, header] }: Desk): Promise<void> {
  if (own === undefined || header === undefined) throw new Error("a desk has two typists");
  const nextCut = () => cutEvery[0] + Math.floor(random() * cutEvery[1]);
  let cutAt = nextCut();
  for (let typed = 1; !own.done || !header.done; typed++) {
    const typist = (typed % headerShare === 0 && !header.done) || own.done ? header : own;
    typist.type(person.connection, person.machine);
    edits += 1;
    if (typed % 500 === 0) {
      comments += 1;
      const id = `${person.name}-${typed}`;
      person.connection.act((machine) => machine.putComment({ id, path: own.path, line: 1, text: `at ${typed}` }));
    }
    if (typed === cutAt) {
      person.connection.interrupt();
      cuts += 1;
      cutAt = typed + nextCut();
    }
    // Typing goes on while the stream is away, and when the next cut is near, it is back.
    if (typed === cutAt - 50) await until(`${person.name} is back`, () => person.machine.phase.kind === "live");
    if (typed % rotateEvery === 0) await person.connection.rotateToken();
    // A few keys, then a rest in which what the others did comes in.
    if (typed % 4 === 0) await pause(1);
  }
}

async function joinInTheMiddle(): Promise<void> {
  await until("half is typed", () => edits >= total / 2);
  cleo.connection.open();
  for (let n = 1; edits < total; n++) {
    comments += 1;
    cleo.connection.act((machine) =>
      machine.putComment({ id: `cleo-${n}`, path: typingA?.name ?? "", line: 1, text: `${n}` }),
    );
    await pause(250);
    if (n % 5 === 0) await cleo.connection.rotateToken();
    if (n % 4 === 0) {
      await until("cleo is back", () => cleo.machine.phase.kind === "live");
      cleo.connection.interrupt();
      cuts += 1;
    }
  }
}

let kills = 0;
let drains = 0;
let slowestDrainMs = 0;
async function restartNowAndThen(): Promise<void> {
  if (!options.kill && !options.drain) return;
  const times = Number(options.kills);
  for (let n = 1; n <= times; n++) {
    await until("it is time to start anew", () => edits >= (total * n) / (times + 1));
    if (options.drain && (!options.kill || n % 2 === 0)) {
      const startMs = performance.now();
      await relay.stop();
      slowestDrainMs = Math.max(slowestDrainMs, performance.now() - startMs);
      drains += 1;
      console.error(`drained the relay at ${edits} of ${total} edits`);
    } else {
      await relay.kill();
      kills += 1;
      console.error(`killed the relay at ${edits} of ${total} edits`);
    }
    await relay.start();
  }
}

/** How often the disk is filled, and how long it stays so once the relay has refused something for it. */
const fills = 3;
const fullMs = 2_000;
/** How long it stays so where nothing is refused. */
const mostFullMs = 5_000;
const refusal = "the storage is full";

let filled = 0;
async function fillNowAndThen(): Promise<void> {
  if (disk === undefined) return;
  for (let n = 1; n <= fills; n++) {
    await until("it is time to fill the disk", () => edits >= (total * n) / (fills + 1));
    const refusedBefore = relay.countLogged(refusal);
    disk.fill();
    console.error(`filled the disk at ${edits} of ${total} edits`);
    // Where nobody can say anything, since all are coming back and no claim can be written, nothing is refused.
    const isTimeMs = Date.now() + mostFullMs;
    const hasRefused = () => relay.countLogged(refusal) > refusedBefore;
    await until("the relay has no space left", () => hasRefused() || edits >= total || Date.now() > isTimeMs);
    if (hasRefused()) filled += 1;
    await pause(fullMs);
    disk.relieve();
    console.error(`emptied it again at ${edits}`);
  }
}

const progress = setInterval(() => console.error(`${edits} of ${total} edits`), 2_000);
let failure: unknown;
try {
  await Promise.all([...desks.map(typeAll), joinInTheMiddle(), restartNowAndThen(), fillNowAndThen()]);
  await until("everybody's work is in the log", () => people.every(({ machine }) => machine.settled));
} catch (error) {
  failure = error;
  console.error(error instanceof Error ? error.message : error);
}
clearInterval(progress);
const seconds = (Date.now() - startedMs) / 1000;

const joiner = new Participant({
  ...common,
  name: "late",
  carriage: bidiCarriage(clientOf(createConnectTransport({ baseUrl, httpVersion: "2" }))),
});
joiner.connection.open();
const token = await signDevelopmentToken(
  secret,
  { sub: "reader", sessions: [session], scope: "session:read", ttlSeconds: 3600 },
  Date.now(),
);
const records = await readRecords(connect, session, token);
const head = records.length;
await until("everybody has read all", () => [...people, joiner].every(({ machine }) => machine.lastSeq === head)).catch(
  (error) => console.error(error instanceof Error ? error.message : error),
);

const folded = foldTexts(session, records);
const snapshot = new Map<string, string>();
for await (const { files } of connect.getSnapshot(
  { sessionId: session },
  { headers: { authorization: `Bearer ${token}` } },
)) {
  for (const { filePath, content } of files) snapshot.set(filePath, (snapshot.get(filePath) ?? "") + content);
}
const unequal: string[] = [];
for (const [path, text] of expected) {
  for (const { name, machine } of [...people, joiner]) {
    if (machine.text(path)?.toString() !== text) unequal.push(`${name}'s ${path}`);
  }
  if (folded.get(path) !== text) unequal.push(`the log's ${path}`);
  if (snapshot.get(path) !== text) unequal.push(`the relay's ${path}`);
}
for (const what of unequal) console.error(`not equal: ${what}`);

const key = (clientId: string, clientSeq: number | bigint) => `${clientId} ${clientSeq}`;
const seqsByKey = new Map<string, number[]>();
for (const { clientId, clientSeq, seq } of records) {
  const found = seqsByKey.get(key(clientId, clientSeq)) ?? [];
  seqsByKey.set(key(clientId, clientSeq), [...found, Number(seq)]);
}
const ackedLost = people
  .flatMap(({ acked }) => acked)
  .filter(({ clientId, clientSeq, seq }) => {
    const seqs = seqsByKey.get(key(clientId, clientSeq)) ?? [];
    return seq === 0 ? seqs.length === 0 : !seqs.includes(seq);
  }).length;
const commentIds = new Set(
  records.flatMap(({ payload }) => (payload.case === "comment" ? [payload.value.commentId] : [])),
);
const lost = ackedLost + (comments - commentIds.size);
const twice = [...seqsByKey.values()].filter((seqs) => seqs.length > 1).length;
const inOrder = records.every(({ seq }, index) => seq === BigInt(index + 1));
const equal = unequal.length === 0 && inOrder && failure === undefined;

for (const { name, counts } of people) console.error(`${name}: ${JSON.stringify(counts)}`);
for (const { connection } of [...people, joiner]) connection.close(1_000);
await network?.stop();
await relay.stop();
disk?.unmount();
rmSync(dataDir, { recursive: true, force: true });

console.log(
  JSON.stringify({
    runtime,
    edits,
    seconds,
    equal,
    lost,
    twice,
    records: head,
    comments,
    cuts,
    kills,
    drains,
    slowestDrainMs: Math.round(slowestDrainMs),
    filled,
  }),
);
const isTried = disk === undefined || filled > 0;
process.exit(equal && lost === 0 && twice === 0 && isTried ? 0 : 1);
