import { defaultLimits } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import { createDoorbells } from "./doorbells.ts";
import type { ObjectStorage } from "./object-storage.ts";
import { ObjectStore } from "./object-store.ts";
import type { SessionLog } from "./session-log.ts";

/** Where an object tells that its session is there. Both may be told twice. */
export interface SessionDirectory {
  add(sessionId: string): Promise<void>;
  remove(sessionId: string): Promise<void>;
}

/** What all sessions share, and an object asks others for. */
export type SharedStore = Pick<SessionLog, "list" | "secret" | "revoke" | "revocations">;

export interface ObjectLogOptions {
  /** The one session of the object. */
  readonly sessionId: string;
  readonly storage: ObjectStorage;
  readonly directory: SessionDirectory;
  readonly shared: SharedStore;
  /** ms since the Unix epoch. */
  readonly now: () => number;
  /** How long a client's last number is kept after its last claim or append. */
  readonly clientTtlMs?: number;
  /** What the object's storage may take: 10 GB by the platform's word (2026-11). */
  readonly maxBytes?: number;
}

export interface ObjectLog extends SessionLog {
  /** Resolves, and never rejects, when what the directory is to be told was told, or has failed for now. */
  settled(): Promise<void>;
}

const objectBytes = 10_000_000_000;

/**
 * The log of the session that an object is, within the object: of its own storage, for as long as this instance of the
 * object lives. What a call writes is written when it returns, and what it promises resolves in the same turn.
 */
export function createObjectLog(options: ObjectLogOptions): ObjectLog {
  const { sessionId, directory, shared } = options;
  const store = new ObjectStore({
    ...options,
    clientTtlMs: options.clientTtlMs ?? defaultLimits.clientTtlMs,
    maxBytes: options.maxBytes ?? objectBytes,
  });
  const doorbells = createDoorbells();
  let closed = false;
  // One after the other, so that the directory hears of a beginning and an end in their order.
  let telling = Promise.resolve();

  const tell = (work: () => Promise<void>) => {
    telling = telling.then(work).catch(() => undefined);
  };

  /** What fails is told again after the next claim, or by the next instance. */
  const list = () => {
    if (store.session?.isListed !== false) return;
    tell(async () => {
      const { session } = store;
      if (session === undefined || session.isListed) return;
      await directory.add(sessionId);
      store.markListed(session.epoch);
    });
  };

  let isNew = true;
  const own = (id: string): ObjectStore => {
    if (closed) throw new BatonError("LOG_UNAVAILABLE", "the log is closed");
    if (id !== sessionId) throw new BatonError("INTERNAL", "an object is one session; it was asked for another");
    if (isNew) list();
    isNew = false;
    return store;
  };

  return {
    describe: async (id) => own(id).describe(),

    claim: async (id, client, proposedEpoch) => {
      const claim = own(id).claim(client, proposedEpoch);
      list();
      return claim;
    },

    append: async (id, batch) => {
      const outcome = own(id).append(batch);
      if (outcome.kind === "appended") doorbells.ring(id, batch.expectedHead + batch.records.length);
      return outcome;
    },

    read: async (id, from, to, maxBytes, epoch) => own(id).read(from, to, maxBytes, epoch),
    putSnapshot: async (id, epoch, snapshot) => own(id).putSnapshot(epoch, snapshot),
    latestSnapshot: async (id, atMost = Number.POSITIVE_INFINITY) => own(id).latestSnapshot(atMost),
    dropSnapshot: async (id, epoch, seq) => own(id).dropSnapshot(epoch, seq),
    trim: async (id, epoch, throughSeq) => own(id).trim(epoch, throughSeq),

    renewEpoch: async (id, expectedEpoch, newEpoch) => {
      const epoch = own(id).renewEpoch(expectedEpoch, newEpoch);
      doorbells.ring(id);
      return epoch;
    },

    watch: doorbells.watch,

    delete: async (id, untouchedSinceMs) => {
      const { epoch, durable } = own(id).delete(untouchedSinceMs);
      // Also where nothing was deleted, since there was nothing: the directory may have a name too many.
      if (store.session === undefined) tell(() => directory.remove(id));
      await durable;
      if (epoch !== "") doorbells.ring(id);
      return epoch;
    },

    list: (prefix, after, limit) => shared.list(prefix, after, limit),
    secret: (name, proposed) => shared.secret(name, proposed),
    revoke: (revocation) => shared.revoke(revocation),
    revocations: (after, limit) => shared.revocations(after, limit),

    settled: () => telling,

    close: async () => {
      closed = true;
      doorbells.clear();
    },
  };
}
