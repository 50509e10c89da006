import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import { assertAdmin, assertAdministersAll } from "../../auth/admin.ts";
import type { OpenBackup, StoreBackup } from "../../durable/store-backup.ts";
import { BatonError } from "../../session/reasons.ts";
import { authenticate } from "../authenticate.ts";
import type { Relay } from "../relay.ts";
import type { BodySink, BodySource } from "../wire/body.ts";
import type { WireBindings } from "../wire/endpoint.ts";
import { admitError, connectErrorFrom } from "../wire/errors.ts";
import { refuse } from "../wire/protocol-connect.ts";
import { createStreamId } from "../wire/router.ts";
import { within } from "../within.ts";

const logger = getLogger(["baton", "admin"]);

export const backupPath = "/admin/backup";
/** How many bytes follow, by which the caller knows that it has them all: a body that is cut off may look like a whole. */
export const backupBytesHeader = "baton-backup-bytes";

/** How long a caller may take nothing. */
const stallMs = 30_000;

/**
 * A backup of the whole store as the body of one answer, for a token that may see and delete all of it. It is no method of
 * the contract: what a store is made of is this relay's own.
 */
export function createBackupRoute(relay: Relay, openBackup: OpenBackup | undefined): Hono<{ Bindings: WireBindings }> {
  return new Hono<{ Bindings: WireBindings }>().post(backupPath, async ({ req, env }) => {
    const streamId = createStreamId();
    const line: { call: string; by?: string } = { call: "Backup" };
    try {
      const principal = await authenticate(relay, req.raw.headers);
      line.by = principal.userId;
      assertAdmin(principal);
      assertAdministersAll(principal);
      if (openBackup === undefined)
        throw new BatonError(
          "SERVICE_NOT_FOUND",
          "this relay keeps no log of which it could make a backup: it is in memory alone, or in a Redis, which has its own",
        );
      const backup = openBackup();
      logger.info("admin call", { ...line, streamId, bytes: backup.bytes });
      return new Response(env.openBody(new BackupBody(backup, { ...line, streamId })), {
        headers: {
          "content-type": "application/vnd.sqlite3",
          "cache-control": "no-store",
          [backupBytesHeader]: String(backup.bytes),
        },
      });
    } catch (error) {
      const admitted = admitError(error, streamId);
      logger.warn("admin call refused", { ...line, streamId, reason: admitted.reason });
      const refusal = connectErrorFrom(admitted);
      return refuse(codeToHttpStatus(refusal.code), refusal);
    }
  });
}

class BackupBody implements BodySource {
  readonly #backup: StoreBackup;
  readonly #line: Readonly<Record<string, unknown>>;
  #isGone = false;

  constructor(backup: StoreBackup, line: Readonly<Record<string, unknown>>) {
    this.#backup = backup;
    this.#line = line;
  }

  async run(sink: BodySink): Promise<"complete" | "reset"> {
    try {
      for await (const chunk of this.#backup.chunks()) {
        const taken = sink.write(chunk);
        // The store is not held still for a caller that takes nothing.
        if (taken !== undefined) await within(stallMs, taken, "SLOW_CONSUMER");
        if (this.#isGone) return "reset";
      }
      logger.info("a backup was handed out", this.#line);
      return "complete";
    } catch (error) {
      const reason = error instanceof BatonError ? error.reason : this.#isGone ? "DISCONNECTED" : "INTERNAL";
      logger.warn("a backup was broken off", { ...this.#line, reason });
      return "reset";
    }
  }

  gone(): void {
    this.#isGone = true;
    this.#backup.close();
  }
}
