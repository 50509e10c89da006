import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { z } from "zod";
import { catalogue, type MetricEntry } from "../../../src/relay/metrics/catalogue.ts";

const root = resolve(import.meta.dirname, "../../..");
const read = (path: string) => readFileSync(resolve(root, path), "utf8");
const entries: readonly (readonly [string, MetricEntry])[] = Object.entries(catalogue);

/** Names that a text may use: a histogram by its three series. */
const seriesNames = new Set(
  entries.flatMap(([name, { type }]) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);
/** prom-client's own that the docs and the dashboard speak of. */
const processNames = new Set([
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
  "process_open_fds",
  "nodejs_eventloop_lag_p99_seconds",
]);

const panelSchema = z.object({
  title: z.string(),
  type: z.string(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).optional(),
});
const dashboardSchema = z.object({ title: z.literal("Baton"), panels: z.array(panelSchema) });

describe("the catalogue of metrics", () => {
  test("MT11 names have the ending that their type and unit ask for", () => {
    for (const [name, { type, unit, says, watch }] of entries) {
      assert.match(name, /^baton_[a-z_]+$/);
      assert.equal(name.endsWith("_total"), type === "counter", name);
      if (unit === "seconds") assert.match(name, /_seconds$/);
      if (unit === "bytes") assert.match(name, /_bytes(_total)?$/);
      for (const sentence of [says, watch]) assert.match(sentence, /^\S.*\.$/, name);
    }
  });

  test("MT11 docs/metrics.md names every metric and no other, with type, unit, labels, meaning and what to do", () => {
    const page = read("docs/metrics.md");
    const rows = [...page.matchAll(/^\| `(baton_\w+)` \| (\w+) \| ([^|]+) \| ([^|]*) \| ([^|]+) \| ([^|]+) \|$/gm)];
    assert.deepEqual(
      rows.map(([, name]) => name),
      entries.map(([name]) => name),
    );
    for (const [, name = "", type, unit, labels = "", says, watch] of rows) {
      const entry = entries.find(([own]) => own === name)?.[1];
      assert.deepEqual([type, unit, says, watch], [entry?.type, entry?.unit, entry?.says, entry?.watch], name);
      const documented = [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label);
      assert.deepEqual(documented, Object.keys(entry?.labels ?? {}), name);
    }
  });

  test("MT11 whatever the docs call a metric is one", () => {
    for (const path of ["docs/metrics.md", "docs/operate.md", "ops/alerts.yaml"]) {
      const named = [...read(path).matchAll(/\bbaton_[a-z_]+\b/g)].map(([name]) => name);
      assert.ok(named.length >= 10, path);
      const known = new Set([...seriesNames, ...entries.map(([name]) => name)]);
      assert.deepEqual(
        named.filter((name) => !known.has(name)),
        [],
        path,
      );
    }
  });
});

describe("the dashboard", () => {
  const { panels } = dashboardSchema.parse(JSON.parse(read("docs/grafana/baton.json")));
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  const namedIn = (expr: string) => [...expr.matchAll(/\b(?:baton|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name);

  test("MT12 each query asks for metrics that there are", () => {
    assert.ok(queries.length > 30);
    for (const expr of queries) {
      const named = namedIn(expr);
      assert.ok(named.length > 0, expr);
      for (const name of named) assert.ok(seriesNames.has(name) || processNames.has(name), `${name} in ${expr}`);
    }
  });

  test("MT12 each metric has its panel", () => {
    const shown = new Set(queries.flatMap(namedIn).map((name) => name.replace(/_(bucket|sum|count)$/, "")));
    assert.deepEqual(
      entries.map(([name]) => name).filter((name) => !shown.has(name)),
      [],
    );
  });

  test("MT12 labels that a query sums by are the metric's own, counters are shown as rates, and brackets close", () => {
    for (const expr of queries) {
      for (const bracket of ["()", "{}", "[]"]) {
        const [open = "", close = ""] = bracket;
        assert.equal(expr.split(open).length, expr.split(close).length, expr);
      }
      for (const name of namedIn(expr)) {
        const entry = entries.find(([own]) => own === name.replace(/_(bucket|sum|count)$/, ""))?.[1];
        if (entry === undefined) continue;
        const by = [...expr.matchAll(/sum by \(([^)]*)\)/g)].flatMap(([, labels = ""]) => labels.split(", "));
        const own = [...Object.keys(entry.labels), ...(entry.type === "histogram" ? ["le"] : [])];
        assert.deepEqual(
          by.filter((label) => !own.includes(label)),
          [],
          expr,
        );
        assert.equal(expr.includes(`rate(${name}`), entry.type !== "gauge", expr);
      }
    }
  });

  test("MT12 no panel lies over another", () => {
    for (const [index, one] of panels.entries()) {
      for (const other of panels.slice(index + 1)) {
        const [a, b] = [one.gridPos, other.gridPos];
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        assert.ok(apart, `${one.title} and ${other.title}`);
        assert.ok(a.x + a.w <= 24);
      }
    }
  });
});
