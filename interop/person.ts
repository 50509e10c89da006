import type { SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";

/** The one file that all edit, and how it begins. */
export const path = "shared.ts";
export const firstText = "one\ntwo\nthree";

/** Somebody in the session, whatever client they use. */
export interface Person {
  readonly name: string;
  /** Resolves when it has been let in. */
  join(): Promise<void>;
  /** Something that a person does: an edit, or a comment. `n` counts what it did. */
  act(n: number): void;
  /** Cuts its stream off, and goes on on another; what cannot resume does nothing. */
  cut(): void;
  readonly canResume: boolean;
  /** How often it has come back. */
  readonly resumed: number;
  /** Everything it did is in the log, and it knows the log up to here. */
  hasAll(head: number): boolean;
  text(): string | undefined;
  /** Its own records, as the log has them. */
  isOwn(record: { readonly userId: string }): boolean;
  /** What is wrong with what it was told. */
  faults(log: readonly SessionMessage[]): readonly string[];
  /** Records that it was told of. */
  readonly told: number;
  leave(): Promise<void> | void;
}
