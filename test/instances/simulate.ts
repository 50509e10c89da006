import assert from "node:assert/strict";
import { loadState } from "../../src/relay/load.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { clientKey, type SessionState } from "../../src/session/state.ts";
import { textContent } from "../../src/session/text.ts";
import { Marks, Participant } from "../session/client/participant.ts";
import { createRandom } from "../support/random.ts";
import type { Instance } from "./instance.ts";
import type { Weather } from "./weather.ts";
import { World, type WorldStream } from "./world.ts";

type Person = Participant<WorldStream>;

/** What happened in a run. */
export type Counts = Readonly<Record<string, number>>;

const names = ["ann", "bob", "cyd", "dee"];

/** Something that a test breaks on purpose, before the first step. */
export type Plant = (world: World) => void;

/** People type on several instances while things go wrong; then all is well, and everybody has to have the same. */
export async function simulate(
  seed: number,
  weather: Weather,
  plant: Plant = () => undefined,
  roundsToRest: number = longestRounds,
): Promise<Counts> {
  const random = createRandom(seed);
  const world = await World.start(random, weather, names);
  try {
    return await run(world, plant, roundsToRest);
  } finally {
    await world.stop();
  }
}

async function run(world: World, plant: Plant, roundsToRest: number): Promise<Counts> {
  const { weather, scheduler } = world;
  const marks = new Marks();
  const people = names.map((name) => new Participant(name, world, scheduler.pick, marks));
  const lostMarks = new Set<string>();
  const paused = new Map<Instance, number>();
  plant(world);
  for (let step = 0; step < weather.steps; step++) {
    for (const person of people) live(world, person);
    await misfortune(world, people, paused, lostMarks);
    await world.step(50 + scheduler.pick(400));
  }
  // The doorbell stays as bad as it was: what it does not tell is found by looking.
  world.weather = { ...weather, busLost: 0, answerLost: 0 };
  for (const [instance] of paused) instance.goOn(world.nowMs);
  await settle(world, people, roundsToRest);
  await checkAtRest(world, people, lostMarks);
  return countsOf(world, people);
}

/** What a person does in a step. */
function live(world: World, person: Person): void {
  const kind = world.scheduler.pick(100);
  if (person.stream === undefined) {
    if (kind < 30) person.connect();
    return;
  }
  if (kind < 25) person.act(false);
  for (let taken = world.scheduler.pick(6); taken > 0; taken--) person.takeDown();
  if (kind < 50) person.retry();
  // Nothing comes of an instance that stands still: the client notices some time.
  if (person.stream?.instance.fate.state === "paused" && kind > 90) cut(world, person);
}

function cut(world: World, person: Person): void {
  world.counts.cut += 1;
  person.cut();
}

async function misfortune(
  world: World,
  people: readonly Person[],
  paused: Map<Instance, number>,
  lostMarks: Set<string>,
): Promise<void> {
  const { scheduler, weather, nowMs } = world;
  const happens = (oneIn: number) => oneIn > 0 && scheduler.pick(oneIn) === 0;
  for (const [instance, untilMs] of paused) {
    if (nowMs < untilMs) continue;
    paused.delete(instance);
    instance.goOn(nowMs);
  }
  const running = world.alive.filter(({ fate }) => fate.state === "running");
  const some = running[scheduler.pick(running.length)];
  if (some !== undefined && running.length > 1 && happens(weather.pauseOneIn)) {
    world.counts.paused += 1;
    some.fate.pause(nowMs);
    paused.set(some, nowMs + 1_000 + scheduler.pick(scheduler.pick(119_000)));
  } else if (some !== undefined && running.length > 1 && happens(weather.killOneIn)) {
    world.kill(some);
    await world.startInstance();
    for (const person of people) {
      if (person.stream?.instance !== some) continue;
      person.stream.up.length = 0;
      cut(world, person);
    }
  }
  const person = people[scheduler.pick(people.length)];
  if (person?.stream !== undefined && happens(weather.cutOneIn)) cut(world, person);
  if (happens(weather.loseTailOneIn)) {
    for (const { payload } of await world.loseTail(1 + scheduler.pick(6))) {
      if (payload.case !== "edit") continue;
      for (const { insert } of payload.value.changes) for (const mark of Marks.in(insert)) lostMarks.add(mark);
    }
  }
}

/** Rounds without anything new after which it is at rest: longer than any lease, heartbeat or look takes. */
const quietRounds = 100;
const longestRounds = 2_000;
/** A relay's own pauses are of the real clock. */
const roundMs = 2;

async function settle(world: World, people: readonly Person[], roundsToRest: number): Promise<void> {
  let quiet = 0;
  for (let round = 0; round < roundsToRest && quiet < quietRounds; round++) {
    for (const person of people) if (person.stream === undefined) person.connect();
    await world.step(400);
    if (quiet === 0) await new Promise((resolve) => setTimeout(resolve, roundMs));
    for (const stream of world.streams) while (stream.takeUp()) {}
    for (const person of people) {
      while (person.takeDown()) {}
      person.retry();
    }
    const head = (await world.store.describe("s"))?.head ?? 0;
    const isEven = people.every(
      ({ client }) => client.settled && client.phase.kind === "live" && client.lastSeq === head,
    );
    quiet = isEven ? quiet + 1 : 0;
  }
  assert.ok(quiet >= quietRounds, `it never comes to rest: ${await describeRest(world, people)}`);
}

async function describeRest(world: World, people: readonly Person[]): Promise<string> {
  const kept = await world.store.describe("s");
  const places = people.map(
    ({ userId, client }) => `${userId} ${client.phase.kind} at ${client.lastSeq}${client.settled ? "" : " with work"}`,
  );
  const rooms = world.instances.map(({ fate, running }) => {
    const room = running.relay.rooms.present("s");
    return `${fate.state} ${room?.state.head}${room?.pipeline.idle === false ? " busy" : ""}`;
  });
  return `the log at ${kept?.head}; ${places.join(", ")}; ${rooms.join(", ")}`;
}

async function checkAtRest(world: World, people: readonly Person[], lostMarks: ReadonlySet<string>): Promise<void> {
  const kept = await world.store.describe("s");
  assert.ok(kept !== undefined);
  const state = await loadState(world.store, "s", kept, kept.head, defaultLimits);
  const files = contents(state);
  for (const person of people) {
    const displayed = [...person.editor].map(([path, text]): [string, string] => [path, textContent(text)]);
    assert.deepEqual(new Map(displayed.sort()), files, `${person.userId} has what the log says`);
  }
  if (world.counts.tailsLost === 0) assert.deepEqual(world.contradictions, [], "one order");
  checkMarks(files, people, lostMarks);
  checkAcks(world, people);
  checkPresence(world, people);
}

function contents(state: SessionState): Map<string, string> {
  const present = [...state.files.values()].filter(({ deleted }) => !deleted);
  return new Map(present.map(({ path, text }): [string, string] => [path, textContent(text)]).sort());
}

/** What was typed is there once; what the client said will not be, is not. */
function checkMarks(files: ReadonlyMap<string, string>, people: readonly Person[], lost: ReadonlySet<string>): void {
  const texts = [...files.values()].join("");
  for (const { userId, typed, dropped } of people) {
    for (const mark of typed) {
      const count = texts.split(mark).length - 1;
      assert.ok(count <= 1, `what ${userId} typed is there ${count} times`);
      if (dropped.has(mark)) assert.equal(count, 0, "what was refused is in no text");
      else if (!lost.has(mark)) assert.equal(count, 1, `what ${userId} typed is there`);
    }
  }
}

/** What was acked is in the log at the place that the Ack named. */
function checkAcks(world: World, people: readonly Person[]): void {
  if (world.counts.tailsLost > 0) return;
  for (const { userId, events } of people) {
    for (const event of events) {
      if (event.kind !== "acked" || event.seq === 0) continue;
      const logged = world.log[event.seq - 1]?.message;
      assert.deepEqual([logged?.userId, Number(logged?.clientSeq)], [userId, event.clientSeq], "an acked message");
    }
  }
}

/** Each instance that has somebody in the session, and each client, shows exactly those who are there. */
function checkPresence(world: World, people: readonly Person[]): void {
  const there = people.map(({ userId, client }) => clientKey(userId, client.clientId)).sort();
  for (const { running, fate } of world.instances) {
    const room = running.relay.rooms.present("s");
    if (fate.state !== "running" || room === undefined || room.participants.size === 0) continue;
    const shown = [...room.roster.entries].map(({ userId, clientId }) => clientKey(userId, clientId));
    assert.deepEqual(shown.sort(), there, "an instance's roster");
  }
  for (const { userId, client } of people) {
    const own = clientKey(userId, client.clientId);
    const shown = [...client.roster()].map((one) => clientKey(one.userId, one.clientId)).filter((key) => key !== own);
    assert.deepEqual(
      shown.sort(),
      there.filter((key) => key !== own),
      `the roster of ${userId}`,
    );
  }
}

function countsOf(world: World, people: readonly Person[]): Counts {
  const counts: Record<string, number> = { ...world.counts, records: world.log.length, carried: world.bus.carried };
  const add = (name: string, by: number) => {
    counts[name] = (counts[name] ?? 0) + by;
  };
  for (const { kind } of people.flatMap(({ events }) => events)) add(kind, 1);
  for (const { running } of world.instances) {
    const { appends, joins } = running.relay.meters;
    for (const [outcome, count] of appends.entries) add(outcome, count);
    for (const [outcome, count] of joins.entries) add(outcome, count);
  }
  return counts;
}
