import type { Room } from "../../room.ts";

/** What an object's place in the tree has to do with the session that lives in the object. */
export interface BranchHost {
  /** Readers whose streams are here, or about to be. */
  readers(): number;
  /** The session's room, where it is in memory. */
  present(): Room | undefined;
  open(): Promise<Room>;
  /** What kept the object in memory may have ended, or begun. */
  changed(): void;
}
