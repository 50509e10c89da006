import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm, Outlet } from "../stream.ts";
import { encodeHop } from "./hop.ts";
import { SendCredits } from "./hop-credits.ts";
import type { HostLink } from "./host-platform.ts";

/** The frames that were sent last, as they go over a link: those who keep up are all sent the same ones. */
let lastFrames: Uint8Array | undefined;
let lastMessage: Uint8Array<ArrayBuffer> = new Uint8Array(0);

function encodeFrames(frames: Uint8Array): Uint8Array<ArrayBuffer> {
  if (frames !== lastFrames) {
    lastFrames = frames;
    lastMessage = encodeHop({ kind: "frames", frames });
  }
  return lastMessage;
}

/** The way down to a client, in its session's object: over a link that shows no backpressure but its credits. */
export class HostOutlet implements Outlet {
  readonly form: FrameForm;
  readonly #link: HostLink;
  readonly #credits = new SendCredits();
  #isEnded = false;

  constructor(link: HostLink, form: FrameForm) {
    this.#link = link;
    this.form = form;
  }

  write(frames: Uint8Array): Promise<void> | undefined {
    if (this.#isEnded) return undefined;
    this.#link.send(encodeFrames(frames));
    return this.#credits.sent(frames.length);
  }

  took(bytes: number): void {
    this.#credits.took(bytes);
  }

  end(error?: BatonError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#link.send(encodeHop({ kind: "end", error }));
    this.#link.close();
    this.#credits.release();
  }
}
