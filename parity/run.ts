import type { Asked } from "./arguments.ts";
import { environment } from "./limits.ts";
import type { Outcome } from "./outcome.ts";
import type { CalmRow, Row, UpheavalRow } from "./row.ts";
import type { RunningRelay, Runtime } from "./runtimes/runtime.ts";
import { Scene } from "./scene.ts";
import type { Way } from "./ways/way.ts";

/** Most of them wait: for a token's end, a grace, an idle time. */
const atOnce = 16;

interface Case<R extends Row> {
  readonly row: R;
  readonly way: Way;
}

/** All rows on all ways of one runtime: the calm ones beside one another, then each upheaval for all ways together. */
export class RuntimeRun {
  readonly #runtime: Runtime;
  readonly #asked: Pick<Asked, "rows" | "ways" | "seed">;
  readonly #tell: (outcome: Outcome) => void;
  #scenes = 0;

  constructor(runtime: Runtime, asked: Pick<Asked, "rows" | "ways" | "seed">, tell: (outcome: Outcome) => void) {
    this.#runtime = runtime;
    this.#asked = asked;
    this.#tell = tell;
  }

  async run(): Promise<void> {
    const secret = crypto.randomUUID() + crypto.randomUUID();
    const relay = await this.#runtime.start(secret, environment);
    const key = new TextEncoder().encode(secret);
    try {
      const calm = this.#asked.rows.filter((row) => row.kind === "calm").flatMap((row) => this.#casesOf(row));
      await this.#runCalm(relay, key, calm);
      for (const row of this.#asked.rows) {
        if (row.kind === "upheaval") await this.#runUpheaval(relay, key, row);
      }
    } finally {
      await relay.close();
    }
  }

  /** The ways that have this row; of the others it is told why not. */
  #casesOf<R extends Row>(row: R): Case<R>[] {
    return this.#asked.ways.flatMap((way) => {
      const { lacks = {}, lacksRows = {} } = this.#runtime;
      const says = lacks[way.name] ?? lacksRows[row.name] ?? row.lacks?.(way);
      if (says === undefined) return [{ row, way }];
      this.#tell({ runtime: this.#runtime.name, way: way.name, row: row.name, kind: "lacking", says });
      return [];
    });
  }

  async #runCalm(relay: RunningRelay, key: Uint8Array, cases: readonly Case<CalmRow>[]): Promise<void> {
    const left = [...cases];
    const work = async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        const { row } = next;
        await this.#runCase(this.#scene(relay, key, next), next, (scene) => row.run(scene));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  }

  async #runUpheaval(relay: RunningRelay, key: Uint8Array, row: UpheavalRow): Promise<void> {
    const begun = this.#casesOf(row).map((one) => {
      const scene = this.#scene(relay, key, one);
      return { one, scene, finish: row.begin(scene) };
    });
    if (begun.length === 0) return;
    await Promise.allSettled(begun.map(({ finish }) => finish));
    await row.upheave(relay);
    const endings = begun.map(({ one, scene, finish }) => this.#runCase(scene, one, async () => (await finish)()));
    await Promise.all(endings);
  }

  async #runCase(scene: Scene, { row, way }: Case<Row>, run: (scene: Scene) => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    const told = { runtime: this.#runtime.name, way: way.name, row: row.name };
    try {
      await run(scene);
      this.#tell({ ...told, kind: "passed", ms: performance.now() - startedMs });
    } catch (error) {
      const says = error instanceof Error ? error.message : String(error);
      this.#tell({ ...told, kind: "failed", says: says.replaceAll(/\s+/g, " "), ms: performance.now() - startedMs });
    } finally {
      await scene.close();
    }
  }

  #scene(relay: RunningRelay, key: Uint8Array, { way }: Case<Row>): Scene {
    this.#scenes += 1;
    return new Scene(relay, way, key, `parity-${this.#scenes}`, this.#asked.seed * 1_000 + this.#scenes);
  }
}
