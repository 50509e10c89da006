import { create } from "@bufbuild/protobuf";
import type { Join, Welcome } from "../../gen/codereview/v1/codereview_pb.ts";
import { Join_History as History, JoinSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import type { JoinMode } from "./effects.ts";

/** How far a client has come in the log, and what lets it go on from there. */
export class LogPosition {
  /** The last record that was applied. */
  lastSeq = 0;
  /** How the next join goes. */
  mode: JoinMode = "new";
  #epoch = "";
  #resumeToken = "";

  get epoch(): string {
    return this.#epoch;
  }

  get resumeToken(): string {
    return this.#resumeToken;
  }

  /**
   * What the Welcome promised is here, or begins to be: a new stream goes on from `lastSeq`. Not sooner: a resume token
   * of one epoch with a seq of another would skip records.
   */
  adopt({ epoch, resumeToken }: Welcome): void {
    this.#epoch = epoch;
    this.#resumeToken = resumeToken;
    this.mode = "resume";
  }

  encodeJoin(clientId: string, clientName: string, firstHistory: History, pendingFrom: number): Join {
    const join = create(JoinSchema, {
      clientId,
      clientName,
      pendingFrom: BigInt(pendingFrom),
      history: this.mode === "new" ? firstHistory : History.SNAPSHOT,
      protocol: 1,
    });
    if (this.mode === "resume") {
      join.resumeToken = this.#resumeToken;
      join.lastSeq = BigInt(this.lastSeq);
    }
    return join;
  }
}
