import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { signDevelopmentToken } from "../src/auth/sign.ts";
import { bidiCarriage } from "../src/client/carriage-bidi.ts";
import { splitCarriage } from "../src/client/carriage-split.ts";
import { CodeReviewService, type SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import { createRandom } from "../test/support/random.ts";
import { foldTexts, readRecords } from "../trial/log.ts";
import { ModernPerson } from "./modern.ts";
import { OriginalPerson } from "./original.ts";
import { type Person, path } from "./person.ts";
import type { Relay } from "./relay.ts";
import { createCurlTransport, hasCurl } from "./transports/curl.ts";
import { createGrpcJsTransport } from "./transports/grpc-js.ts";
import { createOfficialTransport } from "./transports/official.ts";

export interface Row {
  readonly client: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly says: string;
}

const session = "interop";
const actsEach = 25;
const patienceMs = 20_000;
const scope = "session:edit session:comment session:custom";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`gave up waiting until ${what}`);
    await pause(10);
  }
}

/** One session, held by everybody at once; a row for each of them. */
export async function holdSession({ url, grpcUrl }: Relay, secret: Uint8Array, seed: number): Promise<Row[]> {
  const random = createRandom(seed);
  const tokenOf = (user: string) => () =>
    signDevelopmentToken(secret, { sub: user, sessions: [session], scope, ttlSeconds: 3600 }, Date.now());
  const common = (name: string, user: string) => ({ name, user, session, random, token: tokenOf(user) });
  const bidi = (transport: Parameters<typeof createClient>[1]) =>
    bidiCarriage(createClient(CodeReviewService, transport));
  const split = (transport: Parameters<typeof createClient>[1]) =>
    splitCarriage(createClient(CodeReviewService, transport), Date.now);
  const connect = createConnectTransport({ baseUrl: url, httpVersion: "2" });
  const official = createOfficialTransport(url);

  const first = new ModernPerson({ ...common("Connect, bidi", "ann"), carriage: bidi(connect) });
  const web = createGrpcWebTransport({ baseUrl: url, httpVersion: "2" });
  const late = new ModernPerson({ ...common("gRPC-Web, bidi, joins late", "lea"), carriage: bidi(web) });
  const people: Person[] = [
    first,
    ...(hasCurl()
      ? [
          new ModernPerson({
            ...common("Connect JSON, split, by curl", "curt"),
            carriage: split(createCurlTransport(url)),
          }),
        ]
      : []),
    new ModernPerson({
      ...common("gRPC-Web text, split, the official client", "olga"),
      carriage: split(official),
      close: official.close,
    }),
    new ModernPerson({ ...common("gRPC, bidi, grpc-js", "greg"), carriage: bidi(createGrpcJsTransport(grpcUrl)) }),
    new OriginalPerson({ ...common("gRPC, the original proto, grpc-js", "orla"), url: grpcUrl }),
  ];

  const failed = new Map<Person, string>();
  const attempt = async (person: Person, work: () => Promise<void>) => {
    if (failed.has(person)) return;
    try {
      await work();
    } catch (error) {
      failed.set(person, error instanceof Error ? error.message : String(error));
    }
  };
  const live = (person: Person) =>
    attempt(person, () => until(`${person.name} is there`, () => person.text() !== undefined));

  await attempt(first, () => first.join());
  first.begin();
  await live(first);
  for (const person of people.slice(1)) await attempt(person, () => person.join());
  for (const person of people) await live(person);

  const work = async (person: Person, acts: number) => {
    for (let n = 1; n <= acts; n++) {
      person.act(n);
      if (n === Math.ceil(acts / 2)) person.cut();
      await pause(10 + random() * 30);
    }
  };
  const joinLate = async () => {
    await pause((actsEach / 2) * 25);
    await late.join();
    await live(late);
    await work(late, Math.floor(actsEach / 2));
  };
  await Promise.all([
    ...people.map((person) => attempt(person, () => work(person, actsEach))),
    attempt(late, joinLate),
  ]);

  const everybody = [...people, late];
  const reader = createClient(CodeReviewService, connect);
  const { log, text } = await atRest(
    everybody.filter((person) => !failed.has(person)),
    async () => readRecords(reader, session, await tokenOf("ann")()),
  );
  const rows = everybody.map((person) => rowOf(person, log, text, failed.get(person)));
  for (const person of everybody) await attempt(person, async () => person.leave());
  if (!hasCurl())
    rows.push({ client: "Connect JSON, split, by curl", outcome: "skipped", says: "curl is not on this machine" });
  return rows;
}

/** The log once nothing is added to it any more and everybody has it, and the text that it makes. */
async function atRest(people: readonly Person[], read: () => Promise<readonly SessionMessage[]>) {
  const deadline = Date.now() + patienceMs;
  for (let log = await read(); ; ) {
    await pause(200);
    const next = await read();
    const text = foldTexts(session, next).get(path);
    const quiet =
      next.length === log.length && people.every((person) => person.hasAll(next.length) && person.text() === text);
    if (quiet || Date.now() > deadline) return { log: next, text };
    log = next;
  }
}

function rowOf(
  person: Person,
  log: readonly SessionMessage[],
  text: string | undefined,
  failure: string | undefined,
): Row {
  const own = log.filter((record) => person.isOwn(record)).length;
  const says = `${own} of ${log.length} records are its own; told of ${person.told}; came back ${person.resumed} times`;
  const faults =
    failure !== undefined
      ? [failure]
      : [
          ...person.faults(log),
          ...(person.hasAll(log.length) ? [] : ["it has not come to rest"]),
          ...(person.text() === text ? [] : ["its text is not the log's"]),
          ...(own > 0 ? [] : ["nothing of it is in the log"]),
          ...(person.canResume && person.resumed === 0 ? ["it was never cut and resumed"] : []),
        ];
  return {
    client: person.name,
    outcome: faults.length === 0 ? "passed" : "failed",
    says: faults.length === 0 ? says : [...new Set(faults)].slice(0, 5).join("; "),
  };
}
