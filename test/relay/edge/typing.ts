import assert from "node:assert/strict";
import { ChangeSet } from "@codemirror/state";
import { type Client, createClient } from "@connectrpc/connect";
import { signDevelopmentToken } from "../../../src/auth/sign.ts";
import { bidiCarriage } from "../../../src/client/carriage-bidi.ts";
import { socketCarriage } from "../../../src/client/carriage-socket.ts";
import { splitCarriage } from "../../../src/client/carriage-split.ts";
import { CodeReviewService } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { lineBreak, textContent } from "../../../src/session/text.ts";
import { foldTexts, readRecords } from "../../../trial/log.ts";
import { Participant } from "../../../trial/participant.ts";
import { pause, until } from "../../../trial/until.ts";
import { type Kind, secret, transports } from "../harness.ts";

export interface Together {
  readonly url: string;
  readonly session: string;
  readonly kind: Kind;
  /** Lines that each types. */
  readonly lines: number;
  readonly random: () => number;
  readonly carriages: readonly ("bidi" | "split" | "socket")[];
  /** Called after so many lines of all. */
  readonly between?: (typed: number, allAreBack: () => Promise<void>) => Promise<void>;
}

const path = "a.ts";

/** People type lines into one file, each line of its own; in the end everybody and the log have each of them once. */
export async function typeTogether({ url, session, kind, lines, random, carriages, between }: Together) {
  const client = createClient(CodeReviewService, transports[kind](url));
  const people = carriages.map((carriage, index) => {
    const way = carriageOf(carriage, url, client);
    return new Participant({
      name: `p${index}`,
      session,
      secret,
      carriage: way,
      reader: client,
      tokenTtlSeconds: 3600,
    });
  });
  const [first] = people;
  if (first === undefined) throw new Error("somebody has to type");
  first.connection.open();
  first.connection.act((machine) => machine.createFile(path, "begin"));
  await until("the file is there", () => first.acked.length > 0);
  for (const { connection } of people.slice(1)) connection.open();
  await until("all have the file", () => people.every(({ machine }) => machine.text(path) !== undefined));
  const allAreBack = () => until("all are back", () => people.every(({ machine }) => machine.phase.kind === "live"));
  const typed: string[] = [];
  for (let n = 0; n < lines; n++) {
    for (const { name, machine, connection } of people) {
      const text = machine.text(path);
      if (text === undefined) throw new Error(`${name} has lost the file`);
      const line = `${name} ${n}`;
      const at = text.line(1 + Math.floor(random() * text.lines)).to;
      connection.act((one) => one.edit(path, ChangeSet.of({ from: at, insert: `\n${line}` }, text.length, lineBreak)));
      typed.push(line);
      if (random() < 0.5) await pause(Math.floor(random() * 6));
      await between?.(typed.length, allAreBack);
    }
  }
  const isDone = () =>
    people.every(({ machine }) => machine.phase.kind === "live" && machine.settled) &&
    new Set(people.map(({ machine }) => contentOf(machine.text(path)))).size === 1;
  await until("all is acked, and all have the same text", isDone);
  const token = await signDevelopmentToken(
    secret,
    { sub: "p0", sessions: [session], scope: "session:read", ttlSeconds: 600 },
    Date.now(),
  );
  const records = await readRecords(client, session, token);
  for (const { connection } of people) connection.close(0);
  const content = contentOf(first.machine.text(path));
  assert.equal(foldTexts(session, records).get(path), content);
  assert.deepEqual(content.split("\n").sort(), ["begin", ...typed].sort());
  assert.deepEqual(
    records.map(({ seq }) => Number(seq)),
    records.map((_, index) => index + 1),
  );
  const keys = records.map(({ clientId, clientSeq }) => `${clientId} ${clientSeq}`);
  assert.equal(new Set(keys).size, keys.length);
  const acked = people.flatMap(({ acked }) =>
    acked.map(({ clientId, clientSeq, seq }) => `${clientId} ${clientSeq} ${seq}`),
  );
  const logged = new Set(records.map(({ clientId, clientSeq, seq }) => `${clientId} ${clientSeq} ${seq}`));
  assert.deepEqual(
    acked.filter((ack) => !logged.has(ack)),
    [],
  );
  for (const { counts } of people)
    assert.deepEqual([counts.protocolErrors, counts.refused, counts.lostFiles], [0, 0, 0]);
  return { records: records.length, resumed: people.reduce((sum, { counts }) => sum + counts.resumed, 0) };
}

const contentOf = (text: Parameters<typeof textContent>[0] | undefined) =>
  text === undefined ? "" : textContent(text);

function carriageOf(carriage: Together["carriages"][number], url: string, client: Client<typeof CodeReviewService>) {
  if (carriage === "socket") return socketCarriage({ url });
  return carriage === "bidi" ? bidiCarriage(client) : splitCarriage(client, Date.now);
}
