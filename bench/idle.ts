import { BareConnection } from "./bare-h2.ts";
import { newTally, readToken, subscribe, until } from "./calls.ts";
import type { Row } from "./row.ts";
import { type ServerKind, ServerProcess } from "./server-process.ts";

const streams = 2_000;
const connectionCount = 20;

/** Resident memory for each `Subscribe` stream on which nothing happens, in KiB. */
export async function rows(): Promise<readonly Row[]> {
  const relay = await run("relay", 2);
  const stock = await run("stock", 1);
  const floor = await run("floor", 1);
  return [
    {
      name: "memory for each idle stream",
      value: relay,
      unit: "KiB",
      goal: { atMost: 10 },
      peer: { name: "stock connect-es", value: stock },
      note: `${streams} streams over ${connectionCount} connections, resident after a full collection`,
    },
    { name: "  the floor: Bun's direct streams alone", value: floor, unit: "KiB" },
  ];
}

async function run(kind: ServerKind, greetings: number): Promise<number> {
  const server = await ServerProcess.start(kind);
  const connections: BareConnection[] = [];
  try {
    const token = await readToken();
    const open = async (count: number) => {
      const tally = newTally();
      const connection = await BareConnection.open(server.port);
      connections.push(connection);
      for (let index = 0; index < count; index++) subscribe(connection, { token, tally });
      await until(() => tally.messages >= count * greetings, "the streams");
    };
    // What is loaded and compiled once is not a stream's.
    await open(streams / connectionCount);
    const before = (await server.usageWhenCollected()).rssBytes;
    for (let index = 0; index < connectionCount; index++) await open(streams / connectionCount);
    await Bun.sleep(500);
    const after = (await server.usageWhenCollected()).rssBytes;
    return (after - before) / streams / 1024;
  } finally {
    for (const connection of connections) connection.close();
    await server.stop();
  }
}
