/** What a relay tells at /metrics, as far as the bench asks. */
export interface Metrics {
  /** Of all its series, or of those with these labels. */
  sum(name: string, labels?: string): number;
  /** The relay's own gauges, all but those of the build and of time. */
  gaugesAbove0(): readonly string[];
}

/** Prometheus's text: `name{labels} value`, behind lines that name the type. */
export async function readMetrics(port: number): Promise<Metrics> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
  const lines = (await response.text()).split("\n");
  const series = lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name = "", labels = "", value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      return { name, labels, value: Number(value) };
    });
  const gauges = lines.flatMap((line) => /^# TYPE (baton_\S+) gauge$/.exec(line)?.[1] ?? []);
  const isCounted = (name: string) => name !== "baton_build_info" && !name.endsWith("_seconds");
  return {
    sum: (name, labels = "") =>
      series
        .filter((one) => one.name === name && one.labels.includes(labels))
        .reduce((sum, { value }) => sum + value, 0),
    gaugesAbove0: () =>
      gauges.filter((name) => isCounted(name) && series.some((one) => one.name === name && one.value > 0)),
  };
}
