/**
 * The trial of the edge: three people type into one session of the relay in workerd, over three carriages, while the process
 * is killed and started again ten times, and the object taken out of memory in between. Then nobody says anything, and the
 * object has to go by itself although all are still connected. `npm run trial:worker [-- seed]`; exit 1 unless all holds.
 */
import { typeTogether } from "../test/relay/edge/typing.ts";
import { createRandom } from "../test/support/random.ts";
import { startWorkerRelay } from "../test/workerd/relay.ts";

const seed = Number(process.argv[2] ?? "1");
const random = createRandom(seed);
const kills = 10;
const linesEach = 110;
const typedBetweenKills = 30;
/** An object with hibernatable sockets goes after 10 s without an event. */
const idleMs = 13_000;

const relay = await startWorkerRelay({ BATON_LOG_LEVEL: "debug", BATON_LIMIT_MESSAGES_PER_SECOND: "100000" });
try {
  let killed = 0;
  let evictions = 0;
  const { records, resumed } = await typeTogether({
    url: relay.url,
    session: "trial",
    kind: "connect-h1",
    lines: linesEach,
    random,
    carriages: ["bidi", "split", "socket"],
    async between(typed, allAreBack) {
      if (typed % typedBetweenKills === 0 && killed < kills) {
        await relay.workerd.restart();
        killed += 1;
        await allAreBack();
      } else if (typed % 10 === 0) {
        await relay.workerd.evict();
        evictions += 1;
      }
    },
  });
  console.log(
    `typed ${3 * linesEach} lines in ${records} records; ${killed} kills, ${evictions} evictions, ${resumed} resumed`,
  );
  console.log("all texts and the log are the same; no line is missing or there twice");

  const isWake = (line: string) => line.includes("came into memory") && line.includes('"session":"idle"');
  const people = await Promise.all(["ana", "ben", "cleo"].map((as) => relay.join({ as, session: "idle" })));
  for (const person of people) await person.take("welcome");
  const wakes = () => relay.workerd.output.split("\n").filter(isWake).length;
  const before = wakes();
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  const [ana, ben] = people;
  ana?.send({ case: "custom", value: { type: "t" } }, { clientSeq: 1n });
  await ana?.take("ack");
  const said = await ben?.takeMessage("custom");
  const isOut = wakes() === before + 1;
  console.log(
    isOut
      ? `idle for ${idleMs / 1000} s, the object was out of memory while all three were connected; record ${said?.seq} woke it`
      : `the object stayed in memory (${wakes() - before} times it came into it)`,
  );
  process.exitCode = isOut ? 0 : 1;
} finally {
  await relay.stop();
}
process.exit();
