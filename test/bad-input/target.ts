import type { TokenOptions } from "../relay/harness.ts";
import { startRelay } from "./relay.ts";
import { type Entrances, type Way, ways } from "./ways.ts";

/** A relay that is told nonsense, whatever runs it; its rates do not get in the way. */
export interface Target extends Entrances {
  token(options?: TokenOptions): Promise<string>;
  /** How many records a session has; 0 = there is none. */
  headOf(session: string): Promise<number>;
  stop(): Promise<void>;
}

export interface Tried {
  readonly start: () => Promise<Target>;
  /** By which it is served. */
  readonly ways: readonly Way[];
  /** Its runtime puts U+FFFD in the place of what is no UTF-8 in a text message, before the relay sees it. */
  readonly mendsSocketText?: boolean;
}

/** The relay in this process. */
export const here: Tried = {
  ways,
  async start() {
    const relay = await startRelay({ limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 } });
    return { ...relay, headOf: async (session) => (await relay.log.describe(session))?.head ?? 0 };
  },
};
