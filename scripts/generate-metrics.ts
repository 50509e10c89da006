// Writes docs/metrics.md, or the file that is named, from the catalogue in src/relay/metrics/catalogue.ts.
import { writeFileSync } from "node:fs";
import process from "node:process";
import { catalogue, type MetricEntry } from "../src/relay/metrics/catalogue.ts";
import { ends, reasonNames } from "../src/relay/metrics/labels.ts";

const entries: readonly (readonly [string, MetricEntry])[] = Object.entries(catalogue);

function describeLabel([name, values]: readonly [string, MetricEntry["labels"][string]]): string {
  if (values === "fixed") return `\`${name}\``;
  if (values === reasonNames) return `\`${name}\`: a [reason](errors.md)`;
  if (values === ends) return `\`${name}\`: OK, or a [reason](errors.md)`;
  return `\`${name}\`: ${values.join(", ")}`;
}

const rows = entries.map(([name, { type, unit, labels, says, watch }]) => {
  const labelled = Object.entries(labels).map(describeLabel).join("; ");
  return `| \`${name}\` | ${type} | ${unit} | ${labelled} | ${says} | ${watch} |`;
});

const text = `# Metrics

<!-- Generated from src/relay/metrics/catalogue.ts by npm run generate. -->

\`GET /metrics\` answers in Prometheus's text format, on both ports, where \`/healthz\` is. Who may ask:

| | |
|---|---|
| \`BATON_METRICS_TOKEN\` is set | whoever sends \`Authorization: Bearer <token>\`; others get 401 |
| it is not, and the relay listens on this machine alone (\`127.0.0.1\`, \`::1\`, \`localhost\`) | anybody who reaches it. Behind a proxy on the same machine that is everybody, unless the proxy keeps \`/metrics\` back |
| it is not, and the relay is reached from other machines | nobody: 403 |

On Cloudflare Workers there are none, and \`/metrics\` is 501: a scrape would reach one isolate of many, which counts for itself and is
forgotten when it goes. [operate.md](operate.md#cloudflare) says what tells instead.

Metrics tell how much is going on, and not who does it: no label holds a user, a session, a client or a token, and each says only what
is listed here. So there are some ${seriesCount(entries)} series, whoever comes. Every series of a counter is there from the start, at 0.

What is counted costs some nanoseconds for a write to a stream, and less than a microsecond for a batch; all else is looked up when it is scraped.
A counter begins at 0 when the process does.

Prometheus asks like this:

\`\`\`yaml
scrape_configs:
  - job_name: baton
    authorization:
      credentials_file: /etc/prometheus/baton-metrics-token
    static_configs:
      - targets: ["relay.example.com:8080"]
\`\`\`

A dashboard for Grafana that shows all of them is [grafana/baton.json](grafana/baton.json): import it, and choose the Prometheus data source. Alerts
to begin with are in [operate.md](operate.md#alerts).

## Catalogue

A histogram \`x\` is told as \`x_bucket\`, with the label \`le\`, \`x_sum\` and \`x_count\`.

| metric | type | unit | labels | what it tells | when it moves |
|---|---|---|---|---|---|
${rows.join("\n")}

In \`payload\`, \`record\` is a record that was read from the log for somebody who was not there or is behind, whatever it holds; \`conflated\` is the
newest message of a kind in place of those that a slow reader skipped; \`other\` is a message without a payload, or with one that only the relay
sends.

Beside these stand the process's own, by [prom-client](https://github.com/siimon/prom-client): \`process_cpu_seconds_total\`,
\`process_resident_memory_bytes\`, \`process_open_fds\`, \`nodejs_eventloop_lag_p99_seconds\` and others of these beginnings. They have the same names on Bun, where
some that only Node's engine has are 0.

## In a program of your own

\`createRelay\` gives \`metrics\`: \`await metrics.text()\` is what \`/metrics\` answers, without the process's own. Each relay has a registry to itself.
`;

function seriesCount(all: readonly (readonly [string, MetricEntry])[]): number {
  const one = (entry: MetricEntry) =>
    entry.type === "histogram"
      ? 15
      : Object.values(entry.labels).reduce((sum, list) => sum * (list === "fixed" ? 1 : list.length), 1);
  const exact = all.reduce((sum, [, entry]) => sum + one(entry), 0);
  return Math.ceil(exact / 50) * 50;
}

writeFileSync(process.argv[2] ?? "docs/metrics.md", text);
