import type { RelayPlatform } from "../context.ts";
import type { TreePlatform } from "./tree/tree-calls.ts";

/** A session's end of a link, which lives on while the session's object is out of memory. */
export interface HostLink {
  /** After the link is gone it does nothing. */
  send(message: Uint8Array<ArrayBuffer>): void;
  /** What was noted is forgotten: the link may stay open for the other side, and its stream is over. */
  close(): void;
  /** Kept with the link, at most 16 KiB of it. */
  note(value: string): void;
  /** What was noted last. */
  readonly noted: string | undefined;
}

/** What an object gives to the session that lives in it. Its log has this session alone. */
export interface HostPlatform extends Omit<RelayPlatform, "bus"> {
  readonly tree: TreePlatform;
  /** Signs resume tokens; the same for all objects. */
  resumeSecret(): Promise<Uint8Array>;
  /** Those that are not closed on both sides. */
  links(): Iterable<HostLink>;
  /** A few hundred bytes that outlive everything. */
  readShelf(): Promise<string | undefined>;
  writeShelf(text: string): void;
  /** Has `SessionHost.alarm` called then, or a little later. There is one alarm. */
  setAlarm(atMs: number): void;
  /** While it must, the object stays in memory although nothing happens. */
  stayAwake(isNeeded: boolean): void;
}
