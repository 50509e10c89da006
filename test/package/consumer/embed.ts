// A program of somebody who has installed the package: it starts a relay, takes part in a session of it as two people,
// and prints what they see; then it mounts a relay in a server of its own. package.test.ts compiles it and runs it.
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import {
  BatonError,
  createLocalBus,
  createMemoryLog,
  createRelay,
  defaultLimits,
  openSqliteLog,
  type SessionLog,
  serve,
  startRelay,
} from "baton";
import { createKeySet, importSecret, signDevelopmentToken } from "baton/auth";
import { type ClientEvent, readTail, SessionClient, SessionConnection, splitCarriage } from "baton/client";
import { CodeReviewService } from "baton/proto";

const secret = new TextEncoder().encode("a secret of thirty-two bytes, or more");
const imported = await importSecret(secret);
if (imported.kind === "refused") throw new Error(imported.message);
const keys = createKeySet(imported.keys);
const limits = { ...defaultLimits, writers: 2 };

const relay = await startRelay({ host: "127.0.0.1", port: 0, dataDir: ".", log: "sqlite", keys, limits });

function participate(name: string) {
  const transport = createConnectTransport({ baseUrl: relay.url });
  const client: Client<typeof CodeReviewService> = createClient(CodeReviewService, transport);
  const machine = new SessionClient({ sessionId: "demo", clientId: name });
  const claims = { sub: name, sessions: ["demo"], scope: "session:edit", ttlSeconds: 60 };
  const waiting = new Map<string, () => void>();
  const connection = new SessionConnection<SessionClient, ClientEvent>({
    machine,
    carriage: splitCarriage(client, Date.now),
    token: () => signDevelopmentToken(secret, claims, Date.now()),
    readTail: (fromSeq, token) => readTail(client, { session: "demo", fromSeq, token }),
    newClientId: () => crypto.randomUUID(),
    onEvent: ({ kind }) => waiting.get(kind)?.(),
  });
  const heard = (kind: ClientEvent["kind"]) => new Promise<void>((resolve) => waiting.set(kind, resolve));
  return { machine, connection, heard };
}

const [alice, bob] = [participate("alice"), participate("bob")];
for (const { connection, heard } of [alice, bob]) {
  const live = heard("live");
  connection.open();
  await live;
}
const both = Promise.all([bob.heard("text"), alice.heard("acked")]);
alice.connection.act((machine) => machine.createFile("main.ts", "let x = 1;"));
await both;
console.log(`bob sees ${bob.machine.text("main.ts")?.toString()}`);
for (const { connection } of [alice, bob]) {
  connection.close(1_000);
  console.log((await connection.stopped).kind);
}
await relay.close();

const kept: SessionLog = await openSqliteLog({ path: "baton.sqlite", now: Date.now });
console.log(`the log has ${(await kept.describe("demo"))?.head}`);
await kept.close();

const log = createMemoryLog(Date.now);
const own = await createRelay({
  log,
  bus: createLocalBus().member(),
  limits,
  now: Date.now,
  newId: () => crypto.randomUUID(),
  defer: (run) => void setTimeout(run, 0),
  keys,
});
const server = await serve({
  host: "127.0.0.1",
  port: 0,
  limits,
  fetch: (request, bindings) =>
    new URL(request.url).pathname === "/mine" ? new Response("mine") : own.routes.fetch(request, bindings),
});
const statusOf = async (path: string) => (await fetch(server.url + path)).status;
console.log(
  `its own path ${await statusOf("/mine")}, the relay's ${await statusOf("/codereview.v1.CodeReviewService/x")}`,
);
await own.drain();
await server.stop(100);
await log.close();

console.log(new BatonError("DRAIN").code);
