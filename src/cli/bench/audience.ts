import { BareConnection } from "./bare-connection.ts";
import type { Tally } from "./bare-stream.ts";
import { newTally } from "./bare-stream.ts";
import { collaborate, encodeMessage, readToken, subscribe, until, writeToken } from "./calls.ts";

/** Those who read in a fan-out, and the one who publishes. */
export interface Audience {
  /** Of all who read. */
  readonly tally: Tally;
  readonly subscribers: number;
  /** Publishes its `count`th message. */
  publish(count: number): void;
  /** Called whenever something came. */
  onChunk(handler: () => void): void;
  /** Why streams ended that should not have. */
  readonly ended: readonly string[];
  close(): void;
}

export interface AudienceOptions {
  readonly port: number;
  readonly subscribers: number;
  readonly connections: number;
  readonly dataBytes: number;
}

/** Opens it, and resolves when all have joined and nothing more is on its way. */
export type OpenAudience = (options: AudienceOptions) => Promise<Audience>;

/** How the relay greets: a Heartbeat, the Welcome. */
export const relayGreetings = 2;

/** Of servers that speak the relay's contract: `Subscribe`, read-only, and one stream on its own connection that publishes. */
export const contractAudience =
  (greetings = relayGreetings): OpenAudience =>
  async ({ port, subscribers, connections: connectionCount, dataBytes }) => {
    const connections: BareConnection[] = [];
    const ended: string[] = [];
    const onEnd = (text: string) => void ended.push(text);
    const tally = newTally();
    const own = newTally();
    try {
      const token = await readToken();
      for (const count of spreadOver(subscribers, connectionCount)) {
        const connection = await BareConnection.open(port);
        connections.push(connection);
        for (let index = 0; index < count; index++) subscribe(connection, { token, tally, onEnd });
      }
      const publishing = await BareConnection.open(port);
      connections.push(publishing);
      const publisher = collaborate(publishing, { token: await writeToken("publisher"), tally: own, onEnd });
      await until(() => tally.messages >= subscribers * greetings && own.messages >= greetings, "joins");
      const data = new Uint8Array(dataBytes);
      return {
        tally,
        subscribers,
        ended,
        publish: (count) => publisher.send(encodeMessage({ case: "custom", value: { type: "b", data } }, count)),
        onChunk(handler) {
          for (const connection of connections) connection.onChunk = handler;
        },
        close() {
          for (const connection of connections) connection.close();
        },
      };
    } catch (error) {
      for (const connection of connections) connection.close();
      throw error;
    }
  };

/** How many come on each connection. */
export function spreadOver(count: number, connections: number): number[] {
  const before = (index: number) => Math.round((index * count) / connections);
  return Array.from({ length: connections }, (_, index) => before(index + 1) - before(index));
}
