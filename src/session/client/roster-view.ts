import type {
  CursorPosition,
  Participant,
  PresenceUpdate,
  SessionMessage,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { PresenceUpdate_Status as Status } from "../../gen/codereview/v1/codereview_pb.ts";
import { clientKey } from "../state.ts";

/** Somebody who may write, as this client was told. */
export interface Present {
  readonly userId: string;
  readonly clientId: string;
  readonly displayName: string;
  readonly status: Status;
  /** As it was sent: of the version that it names. */
  readonly cursor: CursorPosition | undefined;
}

type Sender = Pick<SessionMessage, "userId" | "clientId">;

/** Who is there: the Welcome's list, and what has been told since. */
export class RosterView {
  readonly #present = new Map<string, Present>();

  values(): IterableIterator<Present> {
    return this.#present.values();
  }

  reset(participants: readonly Participant[]): void {
    this.#present.clear();
    for (const { userId, clientId, displayName, status, cursor } of participants) {
      this.#present.set(clientKey(userId, clientId), { userId, clientId, displayName, status, cursor });
    }
  }

  told({ userId, clientId }: Sender, { status, displayName }: PresenceUpdate): void {
    const key = clientKey(userId, clientId);
    if (status === Status.LEFT) {
      this.#present.delete(key);
      return;
    }
    const before = this.#present.get(key);
    const name = displayName === "" ? (before?.displayName ?? userId) : displayName;
    this.#present.set(key, { userId, clientId, displayName: name, status, cursor: before?.cursor });
  }

  /** A cursor of somebody who was never told of is kept from nobody: its owner will be told of, or was not to be. */
  moved({ userId, clientId }: Sender, cursor: CursorPosition): void {
    const key = clientKey(userId, clientId);
    const before = this.#present.get(key);
    if (before !== undefined) this.#present.set(key, { ...before, cursor });
  }
}
