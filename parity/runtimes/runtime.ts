/** A relay that runs, in a process of its own, on the same addresses and the same data for all its lives. */
export interface RunningRelay {
  readonly url: string;
  /** Where native gRPC is served; undefined: nowhere. */
  readonly grpcUrl: string | undefined;
  /** The newest that its main listener speaks. */
  readonly httpVersion: "1.1" | "2";
  /** Asks it to stop, as a deploy does, and resolves when it has. */
  stop(): Promise<void>;
  /** As a power cut does. */
  kill(): Promise<void>;
  /** Again, after one of these. */
  start(): Promise<void>;
  /** Ends it, and leaves nothing behind. */
  close(): Promise<void>;
}

export interface Runtime {
  readonly name: string;
  /** Ways that it cannot serve, and why. */
  readonly lacks?: Readonly<Record<string, string>>;
  /** Rows that it cannot have, and why. */
  readonly lacksRows?: Readonly<Record<string, string>>;
  start(secret: string, environment: Readonly<Record<string, string>>): Promise<RunningRelay>;
}
