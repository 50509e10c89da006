import type { SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import { createRandom } from "../test/support/random.ts";
import { foldTexts, readRecords } from "../trial/log.ts";
import { gather } from "./people.ts";
import { type Person, path } from "./person.ts";
import type { Relay } from "./relay.ts";
import { type Row, rowOf } from "./row.ts";

const session = "interop";
const actsEach = 25;
/** What somebody does takes a second, on a slow machine a few. */
const patienceMs = 20_000;
/** Between two acts of somebody: at least, and at most. */
const restMs = [10, 40] as const;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** One session, held by everybody at once; a row for each of them. */
export async function holdSession(relay: Relay, secret: Uint8Array, seed: number): Promise<Row[]> {
  const random = createRandom(seed);
  const { first, people, late, missing, reader, token } = gather(relay, session, secret, random);
  const failures = new Map<Person, string>();
  const attempt = async (person: Person, work: () => Promise<void>) => {
    if (failures.has(person)) return;
    try {
      await Promise.race([work(), pause(patienceMs).then(() => Promise.reject(new Error("it did not get through")))]);
    } catch (error) {
      failures.set(person, error instanceof Error ? error.message : String(error));
    }
  };
  const enter = async (person: Person) => {
    await person.join();
    if (person === first) first.begin();
    while (person.text() === undefined) await pause(10);
  };
  const work = async (person: Person, acts: number) => {
    for (let n = 1; n <= acts; n++) {
      person.act(n);
      if (n === Math.ceil(acts / 2)) person.cut();
      await pause(restMs[0] + random() * (restMs[1] - restMs[0]));
    }
  };

  for (const person of people) await attempt(person, () => enter(person));
  await Promise.all([
    ...people.map((person) => attempt(person, () => work(person, actsEach))),
    attempt(late, async () => {
      await pause((actsEach / 2) * ((restMs[0] + restMs[1]) / 2));
      await enter(late);
      await work(late, actsEach);
    }),
  ]);

  const everybody = [...people, late];
  const sound = everybody.filter((person) => !failures.has(person));
  const { log, text } = await atRest(sound, async () => readRecords(reader, session, await token()));
  const rows = everybody.map((person) => rowOf(person, log, text, failures.get(person)));
  await Promise.allSettled(everybody.map(async (person) => person.leave()));
  return [...rows, ...missing.map((row): Row => ({ ...row, outcome: "skipped" }))];
}

/** The log once nothing is added to it any more and everybody has it, and the text that it makes. */
async function atRest(people: readonly Person[], read: () => Promise<readonly SessionMessage[]>) {
  const deadline = Date.now() + patienceMs;
  for (let log = await read(); ; ) {
    await pause(200);
    const next = await read();
    const text = foldTexts(session, next).get(path);
    const isQuiet = next.length === log.length && people.every((one) => one.hasAll(next.length) && one.text() === text);
    if (isQuiet || Date.now() > deadline) return { log: next, text };
    log = next;
  }
}
