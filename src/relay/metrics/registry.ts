import { Counter, Gauge, Histogram as PromHistogram, Registry } from "prom-client";
import { catalogue, type HistogramName, type MetricName } from "./catalogue.ts";
import { type Exposed, histograms, numbers, type Sample } from "./collectors.ts";
import type { Histogram } from "./histogram.ts";

export interface Metrics {
  /** Of the text, for the header of an answer. */
  readonly contentType: string;
  /** Prometheus's text format, as of now. */
  text(): Promise<string>;
}

const isHistogram = (name: MetricName): name is HistogramName => catalogue[name].type === "histogram";
const isMetric = (name: string): name is MetricName => Object.hasOwn(catalogue, name);

/** A relay's metrics, in a registry of their own: two relays in one process do not mix. Nothing is done until a scrape. */
export function createMetrics(exposed: Exposed): Metrics {
  const registry = new Registry();
  for (const name of Object.keys(catalogue).filter(isMetric)) registry.registerMetric(createReader(name, exposed));
  return { contentType: registry.contentType, text: () => registry.metrics() };
}

function createReader(name: MetricName, exposed: Exposed) {
  if (isHistogram(name)) return new ReadHistogram(name, histograms[name](exposed.relay.meters));
  const read = async () => numbers[name](exposed);
  return catalogue[name].type === "counter" ? new ReadCounter(name, read) : new ReadGauge(name, read);
}

// prom-client's own are told each value as it comes, a histogram at a third of a microsecond. These read what was counted.

type Read = () => Promise<Iterable<Sample>>;

const configurationOf = (name: MetricName) => {
  const { says: help, labels } = catalogue[name];
  return { name, help, labelNames: Object.keys(labels), registers: [] };
};

const valuesOf = (samples: Iterable<Sample>) => [...samples].map(([labels, value]) => ({ labels, value }));

class ReadCounter extends Counter {
  readonly #read: Read;

  constructor(name: MetricName, read: Read) {
    super(configurationOf(name));
    this.#read = read;
  }

  override async get(): ReturnType<Counter["get"]> {
    return { ...(await super.get()), values: valuesOf(await this.#read()) };
  }
}

class ReadGauge extends Gauge {
  readonly #read: Read;

  constructor(name: MetricName, read: Read) {
    super(configurationOf(name));
    this.#read = read;
  }

  override async get(): ReturnType<Gauge["get"]> {
    return { ...(await super.get()), values: valuesOf(await this.#read()) };
  }
}

class ReadHistogram extends PromHistogram {
  readonly #name: HistogramName;
  readonly #source: Histogram;

  constructor(name: HistogramName, source: Histogram) {
    super({ ...configurationOf(name), buckets: [...source.bounds] });
    this.#name = name;
    this.#source = source;
  }

  /** What prom-client 15 reads a histogram by; its types do not name it. */
  async getForPromString() {
    const { bounds, counts, sum } = this.#source;
    let count = 0;
    const buckets = counts.map((own, index) => {
      count += own;
      return { metricName: `${this.#name}_bucket`, labels: { le: bounds[index] ?? "+Inf" }, value: count };
    });
    const values = [
      ...buckets,
      { metricName: `${this.#name}_sum`, labels: {}, value: sum },
      { metricName: `${this.#name}_count`, labels: {}, value: count },
    ];
    return { name: this.#name, help: catalogue[this.#name].says, type: "histogram", values };
  }
}
