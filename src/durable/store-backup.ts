/** A whole store as it was at one moment, while the store goes on. */
export interface StoreBackup {
  readonly bytes: number;
  /**
   * All of it, once, in pieces, and lets the store go. Rejects with `LOG_UNAVAILABLE` where the store could not be held
   * still to the end: what came by then is no backup.
   */
  chunks(): AsyncGenerator<Uint8Array, void>;
  /** Lets the store go, where not all was read. */
  close(): void;
}

/** @throws BatonError `LOG_UNAVAILABLE`, also while another backup is under way; `LOG_FULL` */
export type OpenBackup = () => StoreBackup;
