import { create } from "@bufbuild/protobuf";
import { type SessionMessage, SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { OriginalSender } from "../session/original/sender.ts";
import type { OriginalView } from "../session/original/view.ts";
import { BatonError } from "../session/reasons.ts";
import type { Refusal } from "../session/refusal.ts";
import type { Joined } from "./join.ts";
import type { Origin } from "./participant.ts";
import type { Room } from "./room.ts";
import { StreamVoice } from "./stream-voice.ts";

/**
 * A client of the original contract: the relay counts its messages, and the first that is refused ends its stream. Its
 * number is never used, so none of those behind it, which have the next ones, is taken.
 */
export class OriginalVoice extends StreamVoice {
  readonly #room: Room;
  readonly #view: OriginalView;
  #clientSeq = 0;
  #editedPath = "";

  constructor({ room, participant }: Joined, view: OriginalView) {
    super(participant);
    this.#room = room;
    this.#view = view;
  }

  /** As of the message that is being received. */
  get original(): OriginalSender {
    const view = this.#view;
    return { editedPath: this.#editedPath, linesShown: (path) => view.linesShown(path) };
  }

  /** Its next message, with the number that it would have if it could count. */
  number(message: SessionMessage): SessionMessage {
    const { payload } = message;
    if (payload.case !== "edit" && payload.case !== "comment") return message;
    this.#clientSeq += 1;
    if (payload.case === "edit") {
      this.#view.sent(this.#clientSeq, payload.value);
      this.#editedPath = payload.value.filePath;
    }
    return create(SessionMessageSchema, { ...message, clientSeq: BigInt(this.#clientSeq) });
  }

  override refuse({ reason, message, retryAfterMs }: Refusal): void {
    this.#room.end(this.participant, new BatonError(reason, message, { retryAfterMs }));
  }

  override origin(bytes: number): Origin {
    const origin = super.origin(bytes);
    return {
      ...origin,
      answered: (clientSeq, answer) => {
        if (answer.kind === "refused") this.refuse(answer);
        origin.answered(clientSeq, answer);
      },
    };
  }
}
