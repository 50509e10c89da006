import type { Principal } from "../auth/principal.ts";
import type { Refusal } from "../session/refusal.ts";
import type { Origin, Participant } from "./participant.ts";
import { faultPayload, type Identity, type RelayPayload } from "./payload.ts";
import type { Rate } from "./rate.ts";
import type { Voice } from "./receive.ts";

/** A stream that says something in its room, and is answered on itself. */
export class StreamVoice implements Voice {
  protected readonly participant: Participant;

  constructor(participant: Participant) {
    this.participant = participant;
  }

  get identity(): Identity {
    return this.participant.identity;
  }

  get rate(): Rate {
    return this.participant.rate;
  }

  get principal(): Principal {
    return this.participant.principal;
  }

  get generation(): number {
    return this.participant.generation;
  }

  get unackedBytes(): number {
    return this.participant.unackedBytes;
  }

  get receivedBytes(): number {
    return this.participant.receivedBytes;
  }

  confirms(seq: number): boolean {
    return this.participant.confirms(seq);
  }

  tell(payload: RelayPayload): void {
    this.participant.reader.tell(payload);
  }

  refuse(refusal: Refusal, clientSeq: number): void {
    this.tell(faultPayload(refusal, clientSeq));
  }

  origin(bytes: number): Origin {
    return this.participant.origin(bytes);
  }
}
