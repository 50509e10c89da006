import type { BusMessage, InstanceMessage, SessionBus } from "../../src/durable/session-bus.ts";
import type { Fate } from "./instance.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Weather } from "./weather.ts";

interface Ear<M> {
  readonly fate: Fate;
  readonly topic: string;
  readonly hear: (message: M) => void;
}

/** A bus that loses, doubles, delays and reorders what it is given. */
export class BadBus {
  readonly #scheduler: Scheduler;
  readonly #weather: () => Weather;
  readonly #ears = new Set<Ear<BusMessage>>();
  readonly #instanceEars = new Set<Ear<InstanceMessage>>();
  carried = 0;

  constructor(scheduler: Scheduler, weather: () => Weather) {
    this.#scheduler = scheduler;
    this.#weather = weather;
  }

  member(fate: Fate): SessionBus {
    return {
      publish: (topic, message) => this.#carry(this.#ears, fate, topic, message),
      subscribe: (topic, hear) => listen(this.#ears, { fate, topic, hear }),
      announce: (message) => this.#carry(this.#instanceEars, fate, "", message),
      listen: (hear) => listen(this.#instanceEars, { fate, topic: "", hear }),
    };
  }

  #carry<M>(ears: Set<Ear<M>>, from: Fate, topic: string, message: M): void {
    if (from.state !== "running") return;
    for (const ear of ears) {
      if (ear.fate === from || ear.topic !== topic) continue;
      const { busLost, busDoubled } = this.#weather();
      const times = this.#scheduler.chance(busLost) ? 0 : this.#scheduler.chance(busDoubled) ? 2 : 1;
      for (let n = 0; n < times; n++) {
        this.#scheduler.later(() =>
          ear.fate.run(() => {
            if (!ears.has(ear)) return;
            this.carried += 1;
            ear.hear(message);
          }),
        );
      }
    }
  }
}

function listen<M>(ears: Set<Ear<M>>, ear: Ear<M>): () => void {
  ears.add(ear);
  return () => void ears.delete(ear);
}
