import type { Carriage, CarriageCall, CarriageEnd, OpenCarriage } from "./carriage.ts";

export interface NamedCarriage {
  readonly name: string;
  readonly carriage: Carriage;
}

/** Where it is kept which carriage worked: for the life of the program, or longer. */
export interface CarriageMemory {
  /** The name; undefined: none is known. */
  get(): string | undefined;
  set(name: string): void;
}

export interface ChoiceOptions {
  /** How long a carriage may take to bring its first frame, which the relay sends at once, ms. Default: 5,000. */
  readonly firstFrameMs?: number;
  /** Of one relay, as it is reached from here. Default: as long as this choice lives. */
  readonly memory?: CarriageMemory;
}

const defaultFirstFrameMs = 5_000;

/**
 * The first carriage that works, in the order in which they are given; the one that worked last is tried first. One that
 * fails before its first frame, or brings none in time, may be broken by something on the way (a proxy that buffers, or
 * knows no WebSocket): the next one is tried, within the same attempt. So is it where the relay never heard the Join. When
 * none works, what the last one ended with is told.
 */
export function chooseCarriage(carriages: readonly NamedCarriage[], options: ChoiceOptions = {}): Carriage {
  const { firstFrameMs = defaultFirstFrameMs, memory = createMemory() } = options;
  return (call) => {
    const remembered = memory.get();
    const inTurn = [
      ...carriages.filter(({ name }) => name === remembered),
      ...carriages.filter(({ name }) => name !== remembered),
    ];
    return new ChosenStream(inTurn, { firstFrameMs, memory }, call);
  };
}

function createMemory(): CarriageMemory {
  let remembered: string | undefined;
  return {
    get: () => remembered,
    set(name) {
      remembered = name;
    },
  };
}

class ChosenStream implements OpenCarriage {
  readonly #left: NamedCarriage[];
  readonly #options: Required<ChoiceOptions>;
  readonly #call: CarriageCall;
  #stream: OpenCarriage | undefined;
  /** Of the present stream: what comes from an older one is dropped. */
  #generation = 0;
  #isFinishing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(carriages: NamedCarriage[], options: Required<ChoiceOptions>, call: CarriageCall) {
    this.#left = carriages;
    this.#options = options;
    this.#call = call;
    this.#openNext();
  }

  send(message: Parameters<OpenCarriage["send"]>[0]): void {
    this.#stream?.send(message);
  }

  rotate(token: string): void {
    this.#stream?.rotate(token);
  }

  finish(): void {
    this.#isFinishing = true;
    this.#stream?.finish();
  }

  cut(): void {
    this.#drop();
  }

  #openNext(): void {
    const next = this.#left.shift();
    if (next === undefined) throw new TypeError("there is no carriage to choose");
    const generation = ++this.#generation;
    const { listener } = this.#call;
    const current = () => generation === this.#generation;
    let heard = false;
    let welcomed = false;
    if (this.#left.length > 0) {
      this.#timer = setTimeout(() => this.#fallBack(), this.#options.firstFrameMs);
    }
    this.#stream = next.carriage({
      ...this.#call,
      listener: {
        received: (message) => {
          if (!current()) return;
          clearTimeout(this.#timer);
          if (!heard) this.#options.memory.set(next.name);
          heard = true;
          welcomed ||= message.payload.case === "welcome";
          listener.received(message);
        },
        replied: (message) => {
          if (current()) listener.replied(message);
        },
        publishEnded: (clientSeqs) => {
          if (current()) listener.publishEnded(clientSeqs);
        },
        ended: (end) => {
          if (!current()) return;
          this.#stream = undefined;
          const isBroken = heard ? !welcomed && isUnheard(end) : end.fault === undefined;
          if (isBroken && this.#left.length > 0 && !this.#isFinishing) return this.#fallBack();
          this.#drop();
          listener.ended(end);
        },
      },
    });
  }

  #fallBack(): void {
    this.#drop();
    this.#openNext();
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#generation += 1;
    this.#stream?.cut();
    this.#stream = undefined;
  }
}

/** The Join went up at once, and the relay says that none came: something holds back what goes up. */
const isUnheard = ({ fault }: CarriageEnd) => fault?.reason === "FIRST_MESSAGE_TIMEOUT";
