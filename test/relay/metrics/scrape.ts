// A scrape, as Prometheus reads it.

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Scrape {
  readonly text: string;
  readonly series: readonly Series[];
  /** Of each metric that is declared. */
  readonly types: ReadonlyMap<string, string>;
  /** The sum of the series of a name that have these labels, and maybe others. Throws where there is none. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
}

const line = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/;

export function parseScrape(text: string): Scrape {
  const types = new Map<string, string>();
  const series: Series[] = [];
  for (const row of text.split("\n").filter((one) => one !== "")) {
    const [, declared, type] = /^# TYPE (\S+) (\S+)$/.exec(row) ?? [];
    if (declared !== undefined && type !== undefined) types.set(declared, type);
    if (row.startsWith("#")) continue;
    const [, name, labelled = "", value] = line.exec(row) ?? [];
    if (name === undefined) throw new Error(`no line of a scrape: ${row}`);
    const labels = [...labelled.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, said]) => [label, said]);
    series.push({ name, labels: Object.fromEntries(labels), value: Number(value) });
  }
  return {
    text,
    series,
    types,
    sum(name, labels = {}) {
      const found = series.filter(
        (one) => one.name === name && Object.entries(labels).every(([label, wanted]) => one.labels[label] === wanted),
      );
      if (found.length === 0) throw new Error(`there is no ${name} of ${JSON.stringify(labels)}`);
      return found.reduce((sum, { value }) => sum + value, 0);
    },
  };
}

export async function scrape({ metrics }: { readonly metrics: { text(): Promise<string> } }): Promise<Scrape> {
  return parseScrape(await metrics.text());
}

/** Scrapes until this holds. */
export async function scrapeUntil(
  relay: { readonly metrics: { text(): Promise<string> } },
  holds: (scrape: Scrape) => boolean,
): Promise<Scrape> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const present = await scrape(relay);
    if (holds(present)) return present;
    if (Date.now() > deadline) throw new Error(`it never held: ${holds}\n${present.text}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
