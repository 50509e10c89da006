import { BareConnection } from "../src/cli/bench/bare-connection.ts";
import { newTally } from "../src/cli/bench/bare-stream.ts";
import {
  collaborate,
  decodeMessage,
  encodeMessage,
  type Payload,
  readToken,
  subscribe,
  until,
  writeToken,
} from "../src/cli/bench/calls.ts";
import { median, spread } from "../src/cli/bench/statistics.ts";
import { withRelay } from "./contestants.ts";
import { type BenchOptions, type RelayVariant, type Row, relayVariants, variantTitle } from "./row.ts";

const records = 100_000;
/** Of the client that fills the session, unanswered at once: its bytes stay below the server's window. */
const window = 64;

/** How long a client that comes back, and one that comes new, take until they have everything. */
export async function rows(options: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const variant of relayVariants(options)) {
    all.push(await resumed(variant, options), await joined(variant, options));
  }
  return all;
}

async function resumed(variant: RelayVariant, { runs, folder }: BenchOptions): Promise<Row> {
  return await withServer(variant, folder, async (open) => {
    const token = await readToken();
    const welcome = { resumeToken: "", clientId: "" };
    const first = await open();
    subscribe(first, {
      token,
      tally: newTally(),
      onMessage(bytes) {
        const { payload } = decodeMessage(bytes);
        if (payload.case === "welcome") Object.assign(welcome, payload.value);
      },
    });
    await until(() => welcome.resumeToken !== "", "the first join");
    first.close();
    const data = new Uint8Array(100);
    await fill(await open(), () => ({ case: "custom", value: { type: "b", data } }));

    const times: number[] = [];
    for (let run = 0; run < runs; run++) {
      const tally = newTally();
      const startMs = performance.now();
      const connection = await open();
      const ended: string[] = [];
      const onEnd = (text: string) => void ended.push(text);
      subscribe(connection, { token, tally, onEnd, join: { resumeToken: welcome.resumeToken, lastSeq: 0n } });
      // A Heartbeat, the Welcome, the records.
      await until(() => tally.messages >= records + 2 || ended.length > 0, "the missed records");
      if (ended.length > 0) throw new Error(`the resume ended: ${ended[0]}`);
      times.push(performance.now() - startMs);
      connection.close();
    }
    const note = `records of 100 B of data, from connect to the last; runs ${spread(times)}`;
    return {
      name: `resume after 100,000 missed records, ${variantTitle(variant)}`,
      value: median(times),
      unit: "ms",
      goal: { atMost: 1_000 },
      note,
    };
  });
}

const files = 64;
const textLength = 1024 * 1024;

async function joined(variant: RelayVariant, { runs, folder }: BenchOptions): Promise<Row> {
  return await withServer(variant, folder, async (open) => {
    const version = new Array<number>(files).fill(0);
    const insert = "abcdefghij".padEnd(Math.ceil(textLength / records), "k");
    await fill(await open(), (index) => {
      const file = index % files;
      const value = { filePath: `f${file}`, version: version[file] ?? 0, changes: [{ from: 0, to: 0, insert }] };
      version[file] = value.version + 1;
      return { case: "edit", value };
    });
    const token = await readToken();
    const times: number[] = [];
    let text = 0;
    for (let run = 0; run < runs; run++) {
      let isWhole = false;
      text = 0;
      const startMs = performance.now();
      const connection = await open();
      subscribe(connection, {
        token,
        tally: newTally(),
        onMessage(bytes) {
          const { payload } = decodeMessage(bytes);
          if (payload.case !== "snapshot") return;
          for (const { content } of payload.value.files) text += content.length;
          isWhole = !payload.value.more;
        },
      });
      await until(() => isWhole, "the snapshot");
      times.push(performance.now() - startMs);
      connection.close();
    }
    return {
      name: `join a session of 100,000 records, 1 MiB of text, ${variantTitle(variant)}`,
      value: median(times),
      unit: "ms",
      goal: { atMost: 100 },
      note: `${text} characters in ${files} files, an open room, from connect to the last part; runs ${spread(times)}`,
    };
  });
}

type Open = () => Promise<BareConnection>;

async function withServer(
  variant: RelayVariant,
  folder: string | undefined,
  work: (open: Open) => Promise<Row>,
): Promise<Row> {
  return await withRelay(
    variant,
    async (server) => {
      const connections: BareConnection[] = [];
      try {
        return await work(async () => {
          const connection = await BareConnection.open(server.port);
          connections.push(connection);
          return connection;
        });
      } finally {
        for (const connection of connections) connection.close();
      }
    },
    { parent: folder },
  );
}

/** Puts the records into the session as one client, through the relay. */
async function fill(connection: BareConnection, payloadOf: (index: number) => Payload): Promise<void> {
  const tally = newTally();
  const refused: string[] = [];
  let acked = 0;
  let sent = 0;
  let isJoined = false;
  const pump = () => {
    for (; isJoined && sent < records && sent - acked < window; sent++) {
      publisher.send(encodeMessage(payloadOf(sent), sent + 1));
    }
  };
  const publisher = collaborate(connection, {
    token: await writeToken("publisher"),
    tally,
    onMessage(bytes) {
      const { payload } = decodeMessage(bytes);
      if (payload.case === "welcome") isJoined = true;
      if (payload.case === "ack") acked += 1;
      if (payload.case === "fault") refused.push(payload.value.reason);
    },
  });
  connection.onChunk = pump;
  await until(() => acked === records || refused.length > 0, "filling the session", 60_000);
  if (refused.length > 0) throw new Error(`a record was refused: ${refused[0]}`);
}
