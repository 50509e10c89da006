import { fileURLToPath } from "node:url";
import { contractAudience, type OpenAudience } from "../src/cli/bench/audience.ts";
import { MeasuredProcess } from "../src/cli/bench/measured-process.ts";
import { relayScript } from "../src/cli/bench/start-measured-relay.ts";
import { withTempFolder } from "../src/cli/bench/temp-folder.ts";
import type { RuntimeName } from "../src/runtime/this-runtime.ts";
import type { Limits } from "../src/session/limits.ts";
import { openOriginalAudience } from "./audiences/original.ts";
import { openWebSocketAudience } from "./audiences/websocket.ts";
import { commandOf } from "./installed.ts";
import type { LogKind, RelayVariant } from "./row.ts";

/** What the relay is measured beside: a server each, in its own process, with what its readers speak. */
export interface Peer {
  readonly title: string;
  readonly runtime: RuntimeName;
  readonly script: string;
  readonly open: OpenAudience;
  /** A WebSocket is a connection: it cannot share one. */
  readonly sharesConnections: boolean;
}

const peer = (
  title: string,
  runtime: RuntimeName,
  script: string,
  open: OpenAudience,
  sharesConnections = true,
): Peer => ({
  title,
  runtime,
  script: fileURLToPath(new URL(`peers/${script}`, import.meta.url)),
  open,
  sharesConnections,
});

/** A Heartbeat. */
const peerGreetings = 1;

export const peers = {
  original: peer("the original service, grpc-js on Node", "node", "original.ts", openOriginalAudience),
  stockBun: peer("stock connect-es on Bun", "bun", "stock.ts", contractAudience(peerGreetings)),
  stockNode: peer("stock connect-es on Node", "node", "stock.ts", contractAudience(peerGreetings)),
  floorBun: peer("floor: Bun's direct streams alone", "bun", "floor.ts", contractAudience(peerGreetings)),
  floorNode: peer("floor: node:http2 alone, stream.write", "node", "floor.ts", contractAudience(peerGreetings)),
  stockDeno: peer("stock connect-es on Deno", "deno", "stock.ts", contractAudience(peerGreetings)),
  floorDeno: peer("floor: Deno.serve's bodies alone", "deno", "floor.ts", contractAudience(peerGreetings)),
  publish: peer("Bun's WebSocket publish", "bun", "bun-publish.ts", openWebSocketAudience, false),
  ws: peer("ws on Node", "node", "ws.ts", openWebSocketAudience, false),
} as const satisfies Readonly<Record<string, Peer>>;
export type PeerName = keyof typeof peers;

/** A server for one measurement. */
export async function withPeer<T>(
  { runtime, script }: Peer,
  args: readonly string[],
  work: (server: MeasuredProcess) => Promise<T>,
): Promise<T> {
  const server = await MeasuredProcess.start(...commandOf(runtime, script, args));
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

export interface RelayOptions {
  /** Where SQLite's folder is made; undefined: the system's folder for temporary files. */
  readonly parent?: string | undefined;
  /** Those that are not as in every measurement. */
  readonly limits?: Partial<Limits>;
}

/** The whole relay for one measurement; SQLite in a folder of its own. */
export async function withRelay<T>(
  { runtime, log }: RelayVariant,
  work: (server: MeasuredProcess) => Promise<T>,
  { parent, limits = {} }: RelayOptions = {},
): Promise<T> {
  const run = async (where: string) => {
    const server = await MeasuredProcess.start(...commandOf(runtime, relayScript, [where, JSON.stringify(limits)]));
    try {
      return await work(server);
    } finally {
      await server.stop();
    }
  };
  return await onLog(log, run, parent);
}

/** "memory", or a folder that lives as long as the work. */
export async function onLog<T>(log: LogKind, work: (where: string) => Promise<T>, parent?: string): Promise<T> {
  return log === "memory" ? await work("memory") : await withTempFolder(work, parent);
}
