import { getLogger } from "@logtape/logtape";
import type { SessionListing } from "../durable/session-log.ts";
import { BatonError } from "../session/reasons.ts";
import type { RelayContext } from "./context.ts";
import type { Rooms } from "./rooms.ts";

const logger = getLogger(["baton", "retention"]);

/** Sessions that are looked at in one sweep: about 1 ms of work, and of deletions one after the other. */
const pageSessions = 100;
const pageEveryMs = 1_000;
/** From the end of one round through all sessions to the next, unless their age is less. */
const roundEveryMs = 60 * 60 * 1000;

/** Deletes the sessions that nobody touched for `logAgeMs`: a page of them at a time, round after round. */
export class Retention {
  readonly #context: RelayContext;
  readonly #rooms: Rooms;
  /** The last session that was looked at in this round. */
  #after = "";
  #sweptAtMs: number;
  #waitMs = pageEveryMs;
  #isSweeping = false;
  #isFailing = false;

  constructor(context: RelayContext, rooms: Rooms) {
    this.#context = context;
    this.#rooms = rooms;
    this.#sweptAtMs = context.now();
  }

  isDue(nowMs: number): boolean {
    // A clock that was set back does not put the next sweep off.
    return !this.#isSweeping && (nowMs - this.#sweptAtMs >= this.#waitMs || nowMs < this.#sweptAtMs);
  }

  /** Looks at the next page. Never rejects: what could not be deleted is found in the next round. */
  async sweep(nowMs: number): Promise<void> {
    const { log, limits } = this.#context;
    this.#sweptAtMs = nowMs;
    this.#isSweeping = true;
    try {
      const page = await log.list("", this.#after, pageSessions);
      for (const session of page) await this.#judge(session, nowMs);
      const isLastPage = page.length < pageSessions;
      this.#after = isLastPage ? "" : (page.at(-1)?.sessionId ?? "");
      this.#waitMs = isLastPage ? Math.max(Math.min(roundEveryMs, limits.logAgeMs), pageEveryMs) : pageEveryMs;
      this.#isFailing = false;
    } catch (error) {
      const reason = error instanceof BatonError ? error.reason : "INTERNAL";
      if (!this.#isFailing) logger.warn("sessions that are old enough cannot be deleted now", { reason });
      this.#isFailing = true;
    } finally {
      this.#isSweeping = false;
    }
  }

  /** Whoever is in a session keeps it; who comes in while it goes, begins anew in an empty one. */
  async #judge({ sessionId, lastActivityMs }: SessionListing, nowMs: number): Promise<void> {
    const untouchedSinceMs = nowMs - this.#context.limits.logAgeMs;
    if (lastActivityMs >= untouchedSinceMs || this.#rooms.present(sessionId) !== undefined) return;
    const epoch = await this.#context.log.delete(sessionId, untouchedSinceMs);
    if (epoch === "") return;
    this.#rooms.endEpoch(sessionId, epoch);
    logger.info("a session was deleted by its age", { session: sessionId, untouchedMs: nowMs - lastActivityMs });
  }
}
