import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { simulate } from "./simulate.ts";
import { type WeatherName, weathers } from "./weather.ts";

const runs = Number(process.env.BATON_TEST_RUNS ?? 3);
/** Where something has not happened by then: a few runs may miss what is rare. */
const mostRuns = runs + 30;
const firstSeed = Number(process.env.BATON_TEST_SEED ?? 1);

/** What has to have happened in the runs of a weather, or they show nothing. */
const happens: Readonly<Record<WeatherName, readonly string[]>> = {
  calm: [],
  badBus: [],
  silentBus: [],
  pauses: ["paused"],
  kills: ["killed", "paused"],
  lostAnswers: ["failed"],
  crowd: [],
  failovers: ["tailsLost", "resynced"],
};

const isWeather = (name: string): name is WeatherName => name in weathers;

describe("clients on several instances, with a bad store and a bad bus between them", () => {
  for (const name of Object.keys(weathers).filter(isWeather)) {
    test(`MI17 ${name}: at rest everybody has the same, nothing acked lost, nothing twice, presence right`, async () => {
      const sum: Record<string, number> = {};
      const wanted = ["records", "acked", "conflict", "resumed", "cut", ...happens[name]];
      const missing = () => wanted.filter((what) => (sum[what] ?? 0) === 0);
      for (let seed = firstSeed; seed < firstSeed + (missing().length > 0 ? mostRuns : runs); seed++) {
        try {
          for (const [what, count] of Object.entries(await simulate(seed, weathers[name])))
            sum[what] = (sum[what] ?? 0) + count;
        } catch (error) {
          throw new Error(`seed ${seed} of ${name}`, { cause: error });
        }
      }
      if (process.env.BATON_TEST_VERBOSE) console.log(name, JSON.stringify(sum));
      assert.deepEqual(missing(), [], "did not happen");
    });
  }
});
